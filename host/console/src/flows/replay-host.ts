// The replay's view of the host, over the API: reading past turns, and running inputs on a scratch
// worker.

import { type Schemas, request, workerPath } from "../api/client";
import type { Body, Turn } from "./replay";
import { turnOf } from "./replay";
import type { ReplayHost } from "./replay-run";
import { forkScratch, removeScratch } from "./scratch";

type Entry = Schemas["Entry"];
type WorkerEntry = Schemas["WorkerEntry"];
type Ref = Pick<WorkerEntry, "runtime_id" | "worker_id">;
type Summary = Schemas["InputSummary"] & { started_at?: string | null };

/** A page of the transcript; filters may leave it short with `more: true`. */
interface Page {
  items: Entry[];
  next_cursor: string;
  prev_cursor?: string | null;
  more: boolean;
}

/** Pages read for one question, at most. A turn has at most about 50,000 entries. */
const MOST_PAGES = 64;

/** Time that one request waits for a turn's end, in milliseconds. */
const WAIT_MS = 10_000;

/** Time between looks at a turn that takes longer, in milliseconds. */
const POLL_MS = 500;

/** Reads the last inputs of a worker that ended, oldest first, each with its turn. */
export async function lastTurns(of: Ref, count: number, signal: AbortSignal): Promise<Turn[]> {
  const inputs = await lastInputs(of, count, signal);
  const times = await durations(of, signal);
  const turns = await Promise.all(
    inputs.map(async (input) => {
      const id = input.input_id ?? "";
      const entries = await entriesOf(of, id, signal, input.seq - 1);
      const turn = turnOf(id, entries, times.get(id) ?? null);
      // An input that was truncated when stored cannot be replayed.
      return input.truncated ? { ...turn, input: null } : turn;
    }),
  );
  return turns.filter((turn) => turn.outcome !== null);
}

async function lastInputs(of: Ref, count: number, signal: AbortSignal): Promise<Entry[]> {
  let found: Entry[] = [];
  let before: string | null = null;
  for (let page = 0; page < MOST_PAGES && found.length < count; page += 1) {
    const position: Record<string, string | number> =
      before === null ? { last: count } : { before, limit: count };
    const answer: Page = await request<Page>("get", `${workerPath(of)}/transcript`, {
      query: { kind: "input", ...position },
      signal,
    });
    found = [...answer.items.filter((entry) => entry.input_id), ...found];
    before = answer.prev_cursor ?? null;
    if (before === null) break;
  }
  return found.slice(-count);
}

/** Reads the entries of one turn; they come after the entry `from`. */
async function entriesOf(
  of: Ref,
  inputId: string,
  signal: AbortSignal,
  from = 0,
): Promise<Entry[]> {
  const entries: Entry[] = [];
  let after = String(from);
  for (let page = 0; page < MOST_PAGES; page += 1) {
    const answer = await request<Page>("get", `${workerPath(of)}/transcript`, {
      query: { input_id: inputId, after, limit: 1000 },
      signal,
    });
    entries.push(...answer.items);
    after = answer.next_cursor;
    const ended = entries.some((one) => one.kind === "output" || one.kind === "failure");
    if (!answer.more || ended) break;
  }
  return entries;
}

/** Milliseconds that the latest turns took, by input. */
async function durations(of: Ref, signal: AbortSignal): Promise<Map<string, number>> {
  const list = await request<{ items: Summary[] }>("get", `${workerPath(of)}/inputs`, {
    query: { limit: 200 },
    signal,
  });
  const times = new Map<string, number>();
  for (const { input_id, started_at, ended_at } of list.items) {
    if (started_at && ended_at) times.set(input_id, Date.parse(ended_at) - Date.parse(started_at));
  }
  return times;
}

/** Makes the replay's host of a worker. */
export function replayHost(of: WorkerEntry): ReplayHost {
  const ref = (workerId: string): Ref => ({ runtime_id: of.runtime_id, worker_id: workerId });
  return {
    fork: async (component) => (await forkScratch(of, component)).worker_id,
    run: (workerId, input, until) => runInput(ref(workerId), input, until),
    remove: (workerId) => removeScratch(ref(workerId)),
  };
}

async function runInput(worker: Ref, input: Body, signal: AbortSignal): Promise<Turn> {
  const { input_id } = await sendInput(worker, input, WAIT_MS, signal);
  for (;;) {
    const entries = await entriesOf(worker, input_id, signal);
    const turn = turnOf(input_id, entries, null);
    if (turn.outcome !== null) {
      const ms = (await durations(worker, signal)).get(input_id) ?? null;
      return { ...turn, ms };
    }
    await pause(POLL_MS, signal);
  }
}

/** Sends an input as it was; returns as soon as it ended or the wait is over. */
export function sendInput(
  worker: Ref,
  input: Body,
  waitMs: number,
  signal?: AbortSignal,
  key?: string,
): Promise<Schemas["Sent"]> {
  return request<Schemas["Sent"]>("post", `${workerPath(worker)}/inputs`, {
    query: { wait_ms: waitMs },
    headers: {
      "content-type": input.contentType || "application/octet-stream",
      ...(key === undefined ? {} : { "idempotency-key": key }),
    },
    body: input.text ?? bytesOf(input.base64 ?? ""),
    signal,
  });
}

function bytesOf(base64: string): Uint8Array<ArrayBuffer> {
  const text = atob(base64);
  const bytes = new Uint8Array(text.length);
  for (let place = 0; place < text.length; place += 1) bytes[place] = text.charCodeAt(place);
  return bytes;
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer);
      reject(new DOMException("The try was ended.", "AbortError"));
    };
    const timer = setTimeout(() => {
      signal.removeEventListener("abort", stop);
      resolve();
    }, ms);
    if (signal.aborted) stop();
    else signal.addEventListener("abort", stop, { once: true });
  });
}
