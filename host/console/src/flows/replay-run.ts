// One try of an update: scratch workers are made, the inputs replayed on them in order, and the
// scratch workers removed in every case. The host is a parameter, so tests need none.

import type { Body, Turn } from "./replay";

export interface ReplayHost {
  /** Makes a scratch worker without grants; without a component, with the present one. */
  fork(component: string | null): Promise<string>;
  /** Sends an input, waits for its end and returns the turn. */
  run(workerId: string, input: Body, signal: AbortSignal): Promise<Turn>;
  remove(workerId: string): Promise<void>;
}

export interface Row {
  original: Turn;
  /** The turn of the new component. */
  next: Turn | null;
  /** The turn of the present component, from the same state and also without grants. */
  present: Turn | null;
}

export interface Plan {
  component: string;
  originals: readonly Turn[];
  /** Also replay with the present component, to tell the update's differences from the state's. */
  withPresent: boolean;
}

export interface Replayed {
  rows: Row[];
  /** Scratch workers that could not be removed. */
  left: string[];
  /** The error that ended the replay early. */
  error: unknown;
}

/** Replays; `onRow` is called after each turn. Aborting ends it after the running turn. */
export async function replay(
  host: ReplayHost,
  plan: Plan,
  onRow: (rows: readonly Row[]) => void,
  signal: AbortSignal,
): Promise<Replayed> {
  const rows: Row[] = plan.originals.map((original) => ({ original, next: null, present: null }));
  const scratch: string[] = [];
  // One side's failure ends the other, and neither outlives this call.
  const stop = new AbortController();
  const forward = () => {
    stop.abort();
  };
  signal.addEventListener("abort", forward);
  if (signal.aborted) stop.abort();

  const side = async (component: string | null, set: (place: number, turn: Turn) => void) => {
    try {
      const worker = await host.fork(component);
      scratch.push(worker);
      for (const [place, row] of rows.entries()) {
        if (stop.signal.aborted) return;
        if (row.original.input === null) continue;
        set(place, await host.run(worker, row.original.input, stop.signal));
        onRow([...rows]);
      }
    } catch (error) {
      stop.abort();
      throw error;
    }
  };
  const change = (part: "next" | "present") => (place: number, turn: Turn) => {
    const row = rows[place];
    if (row) rows[place] = { ...row, [part]: turn };
  };
  const sides = [side(plan.component, change("next"))];
  if (plan.withPresent) sides.push(side(null, change("present")));
  const ends = await Promise.allSettled(sides);
  signal.removeEventListener("abort", forward);

  const left: string[] = [];
  for (const worker of scratch) {
    await host.remove(worker).catch(() => left.push(worker));
  }
  const failures = ends.flatMap((end) => (end.status === "rejected" ? [end.reason as unknown] : []));
  // The first failure aborts the other side; that abort is not the news.
  const isAbort = (error: unknown) => error instanceof DOMException && error.name === "AbortError";
  const error = failures.find((one) => !isAbort(one)) ?? null;
  return { rows, left, error };
}
