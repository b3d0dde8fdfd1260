// Lists of workers: what is asked for, and rows with only what a table shows.

import { type Query, type Schemas, request, workerPath } from "./client";
import type { Diagnostic, WorkerRow } from "./fleet";

export type StateName = "idle" | "busy" | "exited" | "failed" | "stopped";
export const STATES: readonly StateName[] = ["idle", "busy", "exited", "failed", "stopped"];

export type Counts = Record<StateName | "total", number>;

/** Filters of a list, as addresses and requests have them. */
export interface WorkerFilter {
  q?: string | undefined;
  state?: string | undefined;
  kind?: string | undefined;
  desired?: string | undefined;
  execution?: string | undefined;
  component?: string | undefined;
  label?: string | undefined;
  runtime_id?: string | undefined;
}

export const FILTERS = [
  "q", "state", "kind", "desired", "execution", "component", "label", "runtime_id",
] as const satisfies readonly (keyof WorkerFilter)[];

export interface WorkerPage {
  items: WorkerRow[];
  next_cursor: string | null;
  diagnostics: Diagnostic[];
  counts: Counts | null;
  matched?: number;
}

export interface ListOptions {
  filter?: WorkerFilter;
  sort?: string | undefined;
  descending?: boolean;
  limit?: number;
  cursor?: string | null;
  /** False to save the host the counting, for later pages. */
  counts?: boolean;
  signal?: AbortSignal | undefined;
}

type Wire = Omit<WorkerPage, "items" | "counts"> & {
  items: Schemas["WorkerEntry"][];
  counts?: Counts;
};

/** Lists workers over all runtimes, or of one if the filter names it. */
export async function listWorkers(options: ListOptions): Promise<WorkerPage> {
  const { runtime_id, ...filter } = options.filter ?? {};
  const query: Query = { ...filter, sort: options.sort, limit: options.limit, cursor: options.cursor };
  if (options.counts === false) query["counts"] = false;
  if (options.sort) query["order"] = options.descending ? "desc" : "asc";
  const path = runtime_id ? "/api/runtimes/{runtime_id}/workers" : "/api/workers";
  const names: Record<string, string> = runtime_id ? { runtime_id } : {};
  const page = await request<Wire>("get", path, { path: names, query, signal: options.signal });
  return { ...page, items: page.items.map(row), counts: page.counts ?? null };
}

/** Reads one worker as a row. */
export async function readRow(ref: { runtime_id: string; worker_id: string }): Promise<WorkerRow> {
  return row(await request<Schemas["WorkerEntry"]>("get", workerPath(ref)));
}

/** Keeps what a row shows. Full entries of many pages would fill the heap. */
export function row(entry: Schemas["WorkerEntry"]): WorkerRow {
  return {
    runtime_id: entry.runtime_id,
    worker_id: entry.worker_id,
    display_ref: entry.display_ref ?? null,
    kind: entry.kind,
    component: entry.component,
    desired: entry.desired,
    observed: entry.observed,
    execution: entry.execution,
    queued_inputs: entry.queued_inputs,
    updated_at: entry.updated_at,
    labels: entry.labels,
  };
}

export function rowKey(ref: { runtime_id: string; worker_id: string }): string {
  return `${ref.runtime_id}/${ref.worker_id}`;
}

/** Returns true if any filter is set. */
export function isFiltered(filter: WorkerFilter): boolean {
  return FILTERS.some((name) => filter[name]);
}
