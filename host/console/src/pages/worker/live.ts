// The worker of a page: loaded whole, then kept current by the changes that the tab's stream brings.

import { type Signal, signal } from "@preact/signals";
import { useEffect, useMemo } from "preact/hooks";

import { type Schemas, request, workerPath } from "../../api/client";
import { type WorkerRef, generation, onWorkerChange } from "../../api/fleet";
import { Problem, isAbort } from "../../api/problem";

export type Worker = Schemas["WorkerEntry"];

export interface LiveWorker {
  readonly ref: WorkerRef;
  /** Undefined before the first answer. */
  readonly worker: Signal<Worker | undefined>;
  readonly problem: Signal<unknown>;
  /** True after it was removed. What is known of it stays on the page. */
  readonly removed: Signal<boolean>;
  /** Takes the worker that a change answered. */
  put(worker: Worker): void;
  reload(): void;
}

/** Changes in quick succession are read once, after this time in milliseconds. */
const SETTLE_MS = 150;

export function useWorker(runtime: string, id: string): LiveWorker {
  const live = useMemo(() => new Live({ runtime_id: runtime, worker_id: id }), [runtime, id]);
  const again = generation.value;
  useEffect(() => {
    live.reload();
  }, [live, again]);
  useEffect(() => live.follow(), [live]);
  return live;
}

class Live implements LiveWorker {
  readonly worker = signal<Worker | undefined>(undefined);
  readonly problem = signal<unknown>(undefined);
  readonly removed = signal(false);
  private asked: AbortController | undefined;
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(readonly ref: WorkerRef) {}

  put(worker: Worker): void {
    const known = this.worker.peek();
    // An answer may be older than the change that overtook it.
    if (known && Date.parse(worker.updated_at) < Date.parse(known.updated_at)) return;
    this.worker.value = worker;
    this.problem.value = undefined;
    this.removed.value = false;
  }

  reload(): void {
    this.asked?.abort();
    const asked = (this.asked = new AbortController());
    request<Worker>("get", workerPath(this.ref), { signal: asked.signal }).then(
      (worker) => {
        if (asked.signal.aborted) return;
        this.worker.value = worker;
        this.problem.value = undefined;
      },
      (error: unknown) => {
        if (asked.signal.aborted || isAbort(error)) return;
        if (error instanceof Problem && error.status === 410) this.removed.value = true;
        this.problem.value = error;
      },
    );
  }

  follow(): () => void {
    const stop = onWorkerChange((change) => {
      if (change.worker_id !== this.ref.worker_id || change.runtime_id !== this.ref.runtime_id) return;
      if (change.worker === null) {
        this.removed.value = true;
        return;
      }
      const known = this.worker.peek();
      if (known) {
        const { desired, observed, execution, queued_inputs } = change.worker;
        this.worker.value = { ...known, desired, observed, execution, queued_inputs };
        // A slim row lacks grants, limits and config: they are read when something else changed.
        if (change.worker.updated_at === known.updated_at) return;
      }
      clearTimeout(this.timer);
      this.timer = setTimeout(() => this.reload(), SETTLE_MS);
    });
    return () => {
      stop();
      clearTimeout(this.timer);
      this.asked?.abort();
    };
  }
}

/** Returns the name to show for a worker. */
export function nameOf(worker: Pick<Worker, "display_ref" | "worker_id">): string {
  return worker.display_ref || worker.worker_id;
}
