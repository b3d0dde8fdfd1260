// Changes of the chosen workers: what is about to change is counted first, each failure is named,
// and a start, stop or label can be undone. A removal is final: the count is typed.

import type { ComponentChildren } from "preact";
import { useRef } from "preact/hooks";
import { type Signal, useSignal } from "@preact/signals";

import type { WorkerRef, WorkerRow } from "../../api/fleet";
import { isAbort, sentence } from "../../api/problem";
import { type WorkerFilter, readRow } from "../../api/workers";
import {
  BULK_MOST,
  type BulkAction,
  type BulkFailure,
  type BulkResult,
  type BulkTarget,
  failureText,
  listAll,
  previewBulk,
  restoreLabels,
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
  labels: Record<string, string> | undefined;
  total: number;
  done: number;
  failed: number;
  result: BulkResult | null;
  /** Why it broke off. */
  broke: string | null;
  undo?: (() => Promise<unknown>) | undefined;
}

const DID: Record<BulkAction, string> = {
  start: "Started",
  stop: "Stopped",
  remove: "Removed",
  label: "Labelled",
};

const ASK: Record<BulkAction, string> = {
  start: "Start",
  stop: "Stop",
  remove: "Remove",
  label: "Label",
};

/** What a change aims at, and the rows as they were, where that is needed to undo it. */
interface Aim {
  target: BulkTarget;
  rows: readonly WorkerRow[];
}

const refOf = ({ runtime_id, worker_id }: WorkerRef): WorkerRef => ({ runtime_id, worker_id });

const workers = (count: number) => `${grouped(count)} ${count === 1 ? "worker" : "workers"}`;

export function BulkBar({ list, chosen, everything, filter, keyOf }: BulkProps) {
  const running = useSignal<Running | null>(null);
  const labelling = useSignal(false);
  const left = useRef<AbortController | undefined>(undefined);
  const count = everything.value ? (list.matched.value ?? chosen.value.size) : chosen.value.size;
  if (count === 0 && !running.value) return null;

  /** The chosen workers. A row that was forgotten since it was chosen is read again. */
  const rows = (): Promise<WorkerRow[]> =>
    Promise.all(
      [...chosen.peek()].map(async (key) => {
        const row = list.rows.get(key);
        if (row) return row;
        const at = key.indexOf("/");
        return readRow({ runtime_id: key.slice(0, at), worker_id: key.slice(at + 1) });
      }),
    );

  /** The workers that an action would change, so that undoing it changes no others. */
  const aimOf = async (action: BulkAction): Promise<Aim> => {
    const turns = action === "stop" || action === "start";
    const wanted = action === "stop" ? "running" : "stopped";
    if (turns && everything.peek()) {
      // Failed workers are wanted running, and a start brings them back too.
      const failed = action === "start" && filter.state === "failed";
      return { target: { filter: failed ? filter : { ...filter, desired: wanted } }, rows: [] };
    }
    const all = everything.peek() ? await listAll(filter) : await rows();
    const some = turns
      ? all.filter(({ desired, observed }) => desired === wanted || (action === "start" && observed.state === "failed"))
      : all;
    return { target: { workers: some.map(refOf) }, rows: some };
  };

  /** Shows the progress of a change, and what of it failed. Returns what was done, whatever came. */
  const watch = async (
    what: Pick<Running, "action" | "labels" | "total">,
    run: (result: BulkResult, onProgress: () => void, signal: AbortSignal) => Promise<void>,
  ): Promise<BulkResult> => {
    const stop = new AbortController();
    left.current = stop;
    const result: BulkResult = { done: [], failed: [] };
    const now = (more: Partial<Running>) => {
      if (left.current !== stop) return;
      running.value = { ...what, done: result.done.length, failed: result.failed.length, result: null, broke: null, ...more };
    };
    now({});
    try {
      await run(result, () => now({}), stop.signal);
      if (result.failed.length) now({ result });
      else if (left.current === stop) running.value = null;
    } catch (error) {
      // Closing the dialog cancels; then nobody looks at it any more.
      if (isAbort(error)) running.value = null;
      else now({ result, broke: sentence(error) });
    }
    return result;
  };

  const change = async (action: BulkAction, labels?: Record<string, string>) => {
    let aim: Aim;
    let total: number;
    try {
      aim = await aimOf(action);
      total = await previewBulk(action, aim.target);
    } catch (error) {
      toastFailure("Nothing was changed.", error);
      return;
    }
    if (total === 0) {
      toast({ text: `Nothing to ${action}: all of them are as wanted.` });
      return;
    }
    if (total > BULK_MOST) {
      const text = `At most ${workers(BULK_MOST)} change at a time, and more match. Narrow the filter.`;
      toast({ tone: "failed", text });
      return;
    }
    if (action === "remove" || everything.peek()) {
      const removing = action === "remove";
      const yes = await confirm({
        title: `${ASK[action]} ${workers(total)}?`,
        body: removing
          ? "Their files, state and transcripts are deleted. This cannot be undone."
          : "All workers that match the filters are meant, also those that are not loaded here.",
        action: removing ? "Remove" : "Go on",
        danger: removing,
        ...(removing ? { typed: String(total) } : {}),
      });
      if (!yes) return;
    }
    await settle(action, aim, total, labels);
  };

  /** Performs a change and tells what it did, with the way back. */
  const settle = async (action: BulkAction, aim: Aim, total: number, labels?: Record<string, string>) => {
    const result = await watch({ action, labels, total }, (result, onProgress, signal) =>
      runBulk({ action, target: aim.target, labels, result, onProgress, signal }),
    );
    const { done } = result;
    if (done.length === 0) return;
    if (action === "remove") chosen.value = new Set();
    const undo = wayBack(action, done, aim.rows) ?? undefined;
    // The dialog that lists failures covers toasts, so it offers the way back itself.
    if (running.value) running.value = { ...running.value, undo };
    else toast({ text: `${DID[action]} ${workers(done.length)}.`, ...(undo ? { undo } : {}) });
    if (everything.peek()) list.refresh();
  };

  /** Returns what takes a change back, for exactly the workers that it reached. */
  const wayBack = (action: BulkAction, done: WorkerRef[], before: readonly WorkerRow[]) => {
    if (action === "remove" || (action === "label" && before.length === 0)) return null;
    const total = done.length;
    if (action === "label") {
      const reached = new Set(done.map(keyOf));
      const had = before.filter((row) => reached.has(keyOf(row)));
      return () =>
        watch({ action, labels: undefined, total }, (result, onProgress, signal) =>
          restoreLabels(had, result, onProgress, signal),
        );
    }
    const opposite = action === "stop" ? "start" : "stop";
    return () =>
      watch({ action: opposite, labels: undefined, total }, (result, onProgress, signal) =>
        runBulk({ action: opposite, target: { workers: done }, result, onProgress, signal }),
      );
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
          onRetry={(failed) => {
            const again = { target: { workers: failed.map(refOf) }, rows: [] };
            void settle(now.action, again, failed.length, now.labels);
          }}
        />
      )}
    </>
  );
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
          {now.undo && (
            <Button icon="undo" onClick={() => void now.undo?.()}>
              Undo the {grouped(now.done)}
            </Button>
          )}
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
