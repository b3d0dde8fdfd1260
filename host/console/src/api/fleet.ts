// The live view of all runtimes: their summaries, changes of workers, and the entries of the
// workers that a page watches. A tab has one stream for all of it.

import { computed, signal } from "@preact/signals";

import { type Schemas, call, url } from "./client";
import { returns } from "./connection";
import { openStream, type Stream } from "./stream";

export type Runtime = Schemas["RuntimeSummary"];
export type Entry = Schemas["Entry"];
export type Diagnostic = Schemas["Diagnostic"];

/** The part of a worker that lists show and that changes carry. */
export interface WorkerRow {
  runtime_id: string;
  worker_id: string;
  display_ref?: string | null;
  kind: Schemas["ComponentKind"];
  component: string;
  desired: Schemas["Desired"];
  observed: Schemas["Observed"];
  execution: Schemas["Execution"];
  queued_inputs: number;
  updated_at: string;
  labels?: Record<string, string>;
}

export type WorkerRef = Pick<WorkerRow, "runtime_id" | "worker_id">;

/** A change of one worker; `worker` is null if it was removed. */
export interface WorkerChanged extends WorkerRef {
  worker: WorkerRow | null;
}

/** Changes of one worker within this time arrive as one, in milliseconds. */
const INTERVAL_MS = 250;

const byId = signal<ReadonlyMap<string, Runtime>>(new Map());

/** The runtimes, in the order of the host's list; null until they are known. */
export const runtimes = signal<readonly Runtime[] | null>(null);

/** Diagnostics that arrived on the stream, newest first, bounded. */
export const announced = signal<readonly Diagnostic[]>([]);

/** Counts moments after which lists of workers must be loaded anew: a reset, a lost cursor. */
export const resets = signal(0);

export const runtimeById = (id: string) => computed(() => byId.value.get(id));

/** The name to show for a runtime. */
export function runtimeName(id: string): string {
  return byId.value.get(id)?.display_name ?? id;
}

const listeners = new Set<(change: WorkerChanged) => void>();
const compiled = new Set<(done: { runtime_id: string; digest: string }) => void>();

/** Calls back for each change of any worker, until the returned function is called. */
export function onWorkerChange(listener: (change: WorkerChanged) => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** Calls back when a component's compilation finished, until the returned function is called. */
export function onCompiled(
  listener: (done: { runtime_id: string; digest: string }) => void,
): () => void {
  compiled.add(listener);
  return () => compiled.delete(listener);
}

interface Watch {
  ref: WorkerRef;
  /** Number of the last entry that arrived. */
  after: number;
  onEntry: (entry: Entry) => void;
  onProblem: ((problem: Schemas["Problem"]) => void) | undefined;
}

const watches = new Set<Watch>();
let stream: Stream | undefined;
let restarting = false;

/**
 * Follows the entries of a worker with a number above `after`, without hole or repeat, over
 * breaks, until the returned function is called. At most 16 workers at a time.
 */
export function watchEntries(
  ref: WorkerRef,
  after: number,
  onEntry: (entry: Entry) => void,
  onProblem?: (problem: Schemas["Problem"]) => void,
): () => void {
  const watch: Watch = { ref, after, onEntry, onProblem };
  watches.add(watch);
  restart();
  return () => {
    watches.delete(watch);
    restart();
  };
}

/** Restarts the stream once for all watches that one page adds or ends. */
function restart(): void {
  if (restarting || !stream) return;
  restarting = true;
  queueMicrotask(() => {
    restarting = false;
    stream?.restart();
  });
}

/** Starts the stream; called once there is a session. */
export function followFleet(): void {
  stream ??= openStream({ url: address, onEvent, onOpen: () => void loadRuntimes() });
}

/** Ends the stream and forgets everything, after a logout. */
export function forgetFleet(): void {
  stream?.close();
  stream = undefined;
  runtimes.value = null;
  byId.value = new Map();
  announced.value = [];
}

/** Loads the runtimes. Summaries count workers; the stream tells only of availability. */
export async function loadRuntimes(): Promise<void> {
  const { items } = await call("get", "/api/runtimes");
  runtimes.value = items;
  byId.value = new Map(items.map((one) => [one.runtime_id, one]));
}

function address(): string {
  const watch = Array.from(
    watches,
    ({ ref, after }) => `${ref.runtime_id}/${ref.worker_id}@${after}`,
  );
  const query = { from: "now", fields: "slim", interval_ms: INTERVAL_MS, watch };
  return url("/api/events", { query: watch.length ? { ...query, preview: 4096 } : query });
}

function onEvent({ name, data }: { name: string; data: string }): void {
  const value = JSON.parse(data);
  if (name === "change") onChange(value);
  else if (name === "entry") onEntry(value);
  else if (name === "entry_problem") onEntryProblem(value);
  else if (name === "component") for (const listener of compiled) listener(value);
  else if (name === "reset") resets.value += 1;
  else if (name === "diagnostic") announced.value = [value, ...announced.value].slice(0, 200);
}

function onChange(change: Schemas["FleetChange"]): void {
  if (change.kind === "worker") {
    const { runtime_id, worker_id, worker } = change;
    const row = worker ? { ...worker, runtime_id, worker_id } : null;
    for (const listener of listeners) listener({ runtime_id, worker_id, worker: row });
    return;
  }
  const known = runtimes.value ?? [];
  if (change.kind === "runtime") {
    const { runtime } = change;
    const at = known.findIndex((one) => one.runtime_id === runtime.runtime_id);
    runtimes.value = at < 0 ? [...known, runtime] : known.with(at, runtime);
  } else {
    runtimes.value = known.filter((one) => one.runtime_id !== change.runtime_id);
    resets.value += 1;
  }
  byId.value = new Map((runtimes.value ?? []).map((one) => [one.runtime_id, one]));
}

function watching(ref: WorkerRef): Watch[] {
  return [...watches].filter(
    (one) => one.ref.runtime_id === ref.runtime_id && one.ref.worker_id === ref.worker_id,
  );
}

function onEntry({ entry, ...ref }: WorkerRef & { entry: Entry }): void {
  for (const watch of watching(ref)) {
    // Two watches of one worker share a place in the stream, the earlier of the two.
    if (entry.seq <= watch.after) continue;
    watch.after = entry.seq;
    watch.onEntry(entry);
  }
}

function onEntryProblem({ problem, ...ref }: WorkerRef & { problem: Schemas["Problem"] }): void {
  for (const watch of watching(ref)) watch.onProblem?.(problem);
}

/** Changes when lists must be loaded again: the host came back, or asked for it. */
export const generation = computed(() => returns.value + resets.value);
