// Trying an update on real inputs: the last inputs of a worker are replayed on scratch workers
// without grants, and the turns shown beside the originals. Then one button updates the worker.

import "../kit";

import { useEffect, useRef } from "preact/hooks";
import { useSignal } from "@preact/signals";

import { type Schemas, request, workerPath } from "../api/client";
import { isAbort } from "../api/problem";
import { Button } from "../parts/button";
import { Dialog } from "../parts/dialog";
import { Progress } from "../parts/figures";
import { Id } from "../parts/name";
import { ProblemView } from "../parts/problem";
import { toast } from "../parts/toast";
import { neutral } from "../text/guest";
import { lastTurns, replayHost } from "./replay-host";
import { type Replayed, type Row, replay } from "./replay-run";
import { LeftScratch } from "./try-update/left-scratch";
import { type Choice, Setup, storeChoice } from "./try-update/setup";
import { Results } from "./try-update/results";
import "./try-update.css";

type WorkerEntry = Schemas["WorkerEntry"];

export interface TryUpdateProps {
  worker: WorkerEntry;
  /** Component to begin with, by digest. */
  component?: string | undefined;
  onClose: () => void;
  /** Called with the worker after it was updated. */
  onUpdated?: (worker: WorkerEntry) => void;
}

type Step =
  | { at: "setup" }
  | { at: "running"; rows: readonly Row[]; words: string; stop: AbortController }
  | { at: "done"; component: string; replayed: Replayed; stopped: boolean };

export function TryUpdate({ worker, component, onClose, onUpdated }: TryUpdateProps) {
  const choice = useSignal<Choice>({ component: component ?? null, file: null, count: 10, withPresent: true });
  const step = useSignal<Step>({ at: "setup" });
  const error = useSignal<unknown>(null);
  const gone = useRef(false);

  useEffect(() => {
    gone.current = false;
    return () => {
      gone.current = true;
      // Closing the dialog ends the try; the replay then removes its scratch workers.
      const now = step.peek();
      if (now.at === "running") now.stop.abort();
    };
  }, []);

  const run = async () => {
    const stop = new AbortController();
    const show = (words: string, rows: readonly Row[] = []) => {
      if (!gone.current && !stop.signal.aborted) step.value = { at: "running", rows, words, stop };
    };
    error.value = null;
    show("Reading the last inputs");
    try {
      const { count, withPresent } = choice.peek();
      const originals = await lastTurns(worker, count, stop.signal);
      if (originals.length === 0) throw new Error("This worker has no finished input to replay.");
      const next = await storeChoice(worker.runtime_id, choice.peek(), stop.signal, (sent, total) =>
        show(`Uploading, ${Math.floor((100 * sent) / Math.max(1, total))} %`),
      );
      show("Forking the worker");
      const replayed = await replay(
        replayHost(worker),
        { component: next, originals, withPresent },
        (rows) => show("Replaying", rows),
        stop.signal,
      );
      if (replayed.left.length) {
        toast({ tone: "failed", text: "A scratch worker could not be removed. Try again later." });
      }
      if (gone.current) return;
      if (replayed.error !== null && replayed.rows.every((row) => row.next === null)) {
        throw replayed.error;
      }
      step.value = { at: "done", component: next, replayed, stopped: stop.signal.aborted };
    } catch (failure) {
      if (gone.current) return;
      step.value = { at: "setup" };
      if (!isAbort(failure)) error.value = failure;
    }
  };

  const update = async (digest: string) => {
    try {
      const changed = await request<WorkerEntry>("patch", workerPath(worker), {
        json: { component: digest },
      });
      onUpdated?.(changed);
      onClose();
      toast({
        text: "Updated. It takes effect at the next turn.",
        undo: async () => {
          const back = await request<WorkerEntry>("post", `${workerPath(worker)}/rollback`);
          onUpdated?.(back);
          toast({ text: "Rolled back to the component before." });
        },
      });
    } catch (failure) {
      error.value = failure;
    }
  };

  const now = step.value;
  const name = worker.display_ref ? neutral(worker.display_ref) : null;
  return (
    <Dialog
      wide
      title="Try an update on real inputs"
      onClose={onClose}
      onSubmit={now.at === "setup" ? () => void run() : undefined}
      footer={
        now.at === "setup" ? (
          <>
            <Button onClick={onClose}>Cancel</Button>
            <Button first type="submit" needs="operator" disabled={whyNot(worker, choice.value)}>
              Replay
            </Button>
          </>
        ) : now.at === "running" ? (
          <Button onClick={() => now.stop.abort()}>Stop</Button>
        ) : (
          <>
            <Button onClick={() => void (step.value = { at: "setup" })}>Try another</Button>
            <span class="grow" />
            <Button onClick={onClose}>Discard</Button>
            <Button first needs="operator" onClick={() => update(now.component)}>
              Update the worker
            </Button>
          </>
        )
      }
    >
      <div class="try-update">
        {error.value !== null && <ProblemView error={error.value} />}
        {now.at === "setup" && (
          <>
            <p class="muted">
              The last inputs of {name === null ? <Id id={worker.worker_id} /> : <bdi>{name}</bdi>}{" "}
              run again on a scratch worker: its state and files as they are now, the new component,
              and no grants, so that nothing reaches the outside. The worker itself is not touched.
            </p>
            <LeftScratch worker={worker} />
            <Setup worker={worker} choice={choice} />
          </>
        )}
        {now.at === "running" && <Running words={now.words} rows={now.rows} both={choice.value.withPresent} />}
        {now.at === "done" && (
          <>
            {now.replayed.error !== null && <ProblemView error={now.replayed.error} />}
            <Results rows={now.replayed.rows} stopped={now.stopped} />
          </>
        )}
      </div>
    </Dialog>
  );
}

function whyNot(worker: WorkerEntry, choice: Choice): string | null {
  if (worker.kind === "http") return "An HTTP worker has no turns to replay.";
  if (!choice.component && !choice.file) return "Choose the new component first.";
  return null;
}

function Running({ words, rows, both }: { words: string; rows: readonly Row[]; both: boolean }) {
  const total = rows.length * (both ? 2 : 1);
  const done = rows.reduce((sum, row) => sum + (row.next ? 1 : 0) + (row.present ? 1 : 0), 0);
  return (
    <div class="stack" role="status">
      <Progress label="Replay" done={done} total={total}>
        <span>
          {words}
          {total > 0 && <span class="muted"> · {done} of {total} turns</span>}
        </span>
      </Progress>
      <p class="muted small">Scratch workers are removed at the end, and when this page closes.</p>
    </div>
  );
}
