// Changes of the chosen workers: what is about to change is counted first, each failure is named,
// and a start, stop or label can be undone. A removal is final: the count is typed.

import type { ComponentChildren } from "preact";
import { useRef } from "preact/hooks";
import { type Signal, useSignal } from "@preact/signals";

import type { WorkerRef, WorkerRow } from "../../api/fleet";
import { isAbort, sentence } from "../../api/problem";
import type { WorkerFilter } from "../../api/workers";
import {
  BULK_MOST,
  type BulkAction,
  type BulkFailure,
  type BulkResult,
  type BulkTarget,
  failureText,
  previewBulk,
  runBulk,
} from "../../flows/bulk";
import { Button } from "../../parts/button";
import { Dialog, confirm } from "../../parts/dialog";
import { Field } from "../../parts/field";
import { Progress } from "../../parts/figures";
import { Id, Name } from "../../parts/name";
import { toast, toastFailure } from "../../parts/toast";
import { grouped } from "../../text/bytes";
import type { WorkerList } from "./list";

export interface BulkProps {
  list: WorkerList;
  chosen: Signal<ReadonlySet<string>>;
  /** True if all that match are chosen, loaded or not. */
  everything: Signal<boolean>;
  filter: WorkerFilter;
  keyOf: (ref: WorkerRef) => string;
}

interface Running {
  action: BulkAction;
  labels: Record<string, string | null> | undefined;
  total: number;
  done: number;
  failed: number;
  result: BulkResult | null;
  /** Why it broke off. */
  broke: string | null;
}

const DID: Record<BulkAction, string> = {
  start: "Started",
  stop: "Stopped",
  remove: "Removed",
  label: "Labelled",
};

const workers = (count: number) => `${grouped(count)} ${count === 1 ? "worker" : "workers"}`;

export function BulkBar({ list, chosen, everything, filter, keyOf }: BulkProps) {
  const running = useSignal<Running | null>(null);
  const labelling = useSignal(false);
  const left = useRef<AbortController | undefined>(undefined);
  const count = everything.value ? (list.matched.value ?? chosen.value.size) : chosen.value.size;
  if (count === 0 && !running.value) return null;

  const rows = (): WorkerRow[] =>
    [...chosen.peek()].flatMap((key) => {
      const row = list.rows.get(key);
      if (row) return [row];
      // The row was forgotten since it was chosen; its key still names the worker.
      const at = key.indexOf("/");
      return [{ runtime_id: key.slice(0, at), worker_id: key.slice(at + 1) } as WorkerRow];
    });
  const refs = (all: readonly WorkerRef[]) =>
    all.map(({ runtime_id, worker_id }) => ({ runtime_id, worker_id }));

  /** The workers that an action would change, so that undoing it changes no others. */
  const target = (action: BulkAction): BulkTarget => {
    const wanted = action === "stop" ? "running" : "stopped";
    const turns = action === "stop" || action === "start";
    if (everything.peek()) {
      // Failed workers are wanted running, and a start brings them back too.
      const narrowed = turns && !(action === "start" && filter.state === "failed");
      return { filter: narrowed ? { ...filter, desired: wanted } : filter };
    }
    const all = rows();
    if (!turns) return { workers: refs(all) };
    const failed = (row: WorkerRow) => action === "start" && row.observed?.state === "failed";
    const some = all.filter((row) => row.desired === undefined || row.desired === wanted || failed(row));
    return { workers: refs(some) };
  };

  const perform = async (
    action: BulkAction,
    target: BulkTarget,
    total: number,
    labels?: Record<string, string | null>,
  ): Promise<BulkResult | null> => {
    const stop = new AbortController();
    left.current = stop;
    running.value = { action, labels, total, done: 0, failed: 0, result: null, broke: null };
    try {
      const result = await runBulk({
        action,
        target,
        ...(labels ? { labels } : {}),
        signal: stop.signal,
        onProgress: (done, failed) => {
          if (running.value) running.value = { ...running.value, done, failed };
        },
      });
      const clean = result.failed.length === 0;
      running.value = clean ? null : running.value && { ...running.value, result };
      return result;
    } catch (error) {
      const broke = isAbort(error) ? "Cancelled. What had begun was finished." : sentence(error);
      if (running.value) running.value = { ...running.value, broke };
      return null;
    }
  };

  const change = async (action: BulkAction, labels?: Record<string, string>) => {
    const aim = target(action);
    let total: number;
    try {
      total = await previewBulk(action, aim);
    } catch (error) {
      toastFailure("Nothing was changed.", error);
      return;
    }
    if (total === 0) {
      toast({ text: `Nothing to ${action}: all of them are as wanted.` });
      return;
    }
    if (total > BULK_MOST) {
      toast({ tone: "failed", text: `At most ${workers(BULK_MOST)} at a time; ${grouped(total)} match. Narrow the filter.` });
      return;
    }
    if (action === "remove" || everything.peek()) {
      const yes = await confirm({
        title: `${action === "remove" ? "Remove" : action === "stop" ? "Stop" : action === "start" ? "Start" : "Label"} ${workers(total)}?`,
        body:
          action === "remove"
            ? "Their files, state and transcripts are deleted. This cannot be undone."
            : "All workers that match the filters are meant, also those that are not loaded here.",
        action: action === "remove" ? "Remove" : "Go on",
        danger: action === "remove",
        ...(action === "remove" ? { typed: String(total) } : {}),
      });
      if (!yes) return;
    }
    await settle(action, aim, total, labels);
  };

  /** Performs a change and tells what it did, with the way back. */
  const settle = async (
    action: BulkAction,
    aim: BulkTarget,
    total: number,
    labels?: Record<string, string | null>,
  ) => {
    const before = action === "label" && labels ? labelsBefore(rows(), labels) : null;
    const result = await perform(action, aim, total, labels);
    if (!result?.done.length) return;
    if (action === "remove") chosen.value = new Set();
    const undo = undoing(action, result, before, perform, keyOf);
    toast({ text: `${DID[action]} ${workers(result.done.length)}.`, ...(undo ? { undo } : {}) });
    if (everything.peek()) list.refresh();
  };

  const loaded = chosen.value.size;
  const all = list.matched.value ?? loaded;
  const now = running.value;
  return (
    <>
      {count > 0 && (
        <div class="bulk-bar" role="toolbar" aria-label="Chosen workers">
          <strong class="number">{grouped(count)} chosen</strong>
          {!everything.value && all > loaded && loaded > 1 && (
            <Button
              quiet
              onClick={() => {
                everything.value = true;
              }}
            >
              Choose all {grouped(all)} that match
            </Button>
          )}
          <span class="grow" />
          <Button icon="play" needs="operator" onClick={() => change("start")}>Start</Button>
          <Button icon="stop" needs="operator" onClick={() => change("stop")}>Stop</Button>
          <Button icon="label" needs="operator" onClick={() => { labelling.value = true; }}>Label…</Button>
          <Button icon="trash" danger needs="operator" onClick={() => change("remove")}>Remove…</Button>
          <Button
            quiet
            icon="close"
            label="Clear the choice"
            keys="Esc"
            onClick={() => {
              chosen.value = new Set();
              everything.value = false;
            }}
          />
        </div>
      )}
      {labelling.value && (
        <LabelDialog
          count={count}
          onClose={() => (labelling.value = false)}
          onLabel={(labels) => {
            labelling.value = false;
            void change("label", labels);
          }}
        />
      )}
      {now && (
        <RunDialog
          now={now}
          name={(ref) => list.rows.get(keyOf(ref))?.display_ref ?? null}
          onClose={() => {
            left.current?.abort();
            running.value = null;
          }}
          onRetry={(failed) => void settle(now.action, { workers: refs(failed) }, failed.length, now.labels)}
        />
      )}
    </>
  );
}

/** Groups workers by the labels they had under the keys that change. */
function labelsBefore(rows: readonly WorkerRow[], labels: Record<string, string | null>) {
  const groups = new Map<string, { labels: Record<string, string | null>; workers: WorkerRow[] }>();
  for (const row of rows) {
    const had = Object.fromEntries(Object.keys(labels).map((key) => [key, row.labels?.[key] ?? null]));
    const group = groups.get(JSON.stringify(had)) ?? { labels: had, workers: [] };
    group.workers.push(row);
    groups.set(JSON.stringify(had), group);
  }
  return [...groups.values()];
}

type Perform = (
  action: BulkAction,
  target: BulkTarget,
  total: number,
  labels?: Record<string, string | null>,
) => Promise<BulkResult | null>;

/** Returns what takes a change back, for exactly the workers that it reached. */
function undoing(
  action: BulkAction,
  result: BulkResult,
  before: ReturnType<typeof labelsBefore> | null,
  perform: Perform,
  keyOf: (ref: WorkerRef) => string,
): (() => Promise<void>) | null {
  const { done } = result;
  if (done.length === 0 || action === "remove") return null;
  if (action !== "label") {
    const opposite = action === "stop" ? "start" : "stop";
    return async () => {
      await perform(opposite, { workers: done }, done.length);
    };
  }
  if (!before) return null;
  const reached = new Set(done.map(keyOf));
  return async () => {
    for (const { labels, workers } of before) {
      const some = workers.filter((one) => reached.has(keyOf(one)));
      const refs = some.map(({ runtime_id, worker_id }) => ({ runtime_id, worker_id }));
      if (refs.length) await perform("label", { workers: refs }, refs.length, labels);
    }
  };
}

interface LabelProps {
  count: number;
  onClose: () => void;
  onLabel: (labels: Record<string, string>) => void;
}

function LabelDialog({ count, onClose, onLabel }: LabelProps) {
  const name = useSignal("");
  const value = useSignal("");
  const submit = () => {
    if (name.value.trim()) onLabel({ [name.value.trim()]: value.value.trim() });
  };
  return (
    <Dialog
      title={`Label ${workers(count)}`}
      onClose={onClose}
      onSubmit={submit}
      footer={
        <>
          <Button onClick={onClose}>Cancel</Button>
          <Button type="submit" first disabled={!name.value.trim() && "Type a name first."}>
            Set the label
          </Button>
        </>
      }
    >
      <Field label="Name" help="A label of this name gets the new value; others stay.">
        {(ids) => (
          <input {...ids} autofocus autocomplete="off" spellcheck={false} value={name.value}
            onInput={(event) => (name.value = event.currentTarget.value)} />
        )}
      </Field>
      <Field label="Value">
        {(ids) => (
          <input {...ids} autocomplete="off" spellcheck={false} value={value.value}
            onInput={(event) => (value.value = event.currentTarget.value)} />
        )}
      </Field>
    </Dialog>
  );
}

interface RunProps {
  now: Running;
  name: (ref: WorkerRef) => string | null;
  onClose: () => void;
  onRetry: (failed: readonly BulkFailure[]) => void;
}

/** Workers that the dialog names per reason. */
const LISTED = 50;

/** Groups failures by their reason, the most frequent first. */
function byReason(failed: readonly BulkFailure[]): [string, BulkFailure[]][] {
  const groups = new Map<string, BulkFailure[]>();
  for (const one of failed) {
    const reason = failureText(one);
    const group = groups.get(reason);
    if (group) group.push(one);
    else groups.set(reason, [one]);
  }
  return [...groups].sort(([, a], [, b]) => b.length - a.length);
}

function RunDialog({ now, name, onClose, onRetry }: RunProps) {
  const over = now.result !== null || now.broke !== null;
  const failed = now.result?.failed ?? [];
  let words: ComponentChildren = `${grouped(now.done)} done, ${grouped(now.failed)} failed`;
  if (!over) words = `${grouped(now.done + now.failed)} of ${grouped(now.total)}`;
  return (
    <Dialog
      title={over ? "Not all workers changed" : "Changing workers"}
      onClose={onClose}
      footer={
        <>
          <Button first={over && !failed.length} onClick={onClose}>
            {over ? "Close" : "Cancel the rest"}
          </Button>
          {failed.length > 0 && (
            <Button first icon="retry" onClick={() => onRetry(failed)}>
              Try {failed.length === 1 ? "it" : `these ${grouped(failed.length)}`} again
            </Button>
          )}
        </>
      }
    >
      <Progress label="Workers" done={now.done + now.failed} total={now.total}>
        <p class="row" aria-live="polite">
          <span class="number">{words}</span>
        </p>
      </Progress>
      {now.broke && <p class="problem">{now.broke}</p>}
      {failed.length > 0 && (
        <ul class="failures">
          {byReason(failed).map(([reason, some]) => (
            <li key={reason}>
              <p>
                <strong class="number">{grouped(some.length)}</strong> {reason}
              </p>
              <p class="small muted">
                {some.slice(0, LISTED).map((one, at) => {
                  const called = name(one);
                  return (
                    <span key={one.worker_id}>
                      {at > 0 && ", "}
                      {called ? <Name text={called} /> : <Id id={one.worker_id} />}
                    </span>
                  );
                })}
                {some.length > LISTED && ` and ${grouped(some.length - LISTED)} more`}
              </p>
            </li>
          ))}
        </ul>
      )}
    </Dialog>
  );
}
