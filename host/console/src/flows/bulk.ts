// Changes of many workers at once: a preview that counts them, and a run that reports each as it
// finishes. Leaving the run stops what has not begun.

import { type Schemas, request, send, workerPath } from "../api/client";
import type { WorkerRef, WorkerRow } from "../api/fleet";
import { Problem } from "../api/problem";
import { type WorkerFilter, type WorkerPage, listWorkers } from "../api/workers";

export type BulkAction = "start" | "stop" | "remove" | "label";

/** Workers that the host changes in one call at most. */
export const BULK_MOST = 10_000;

/** The workers to change: named one by one, or all that match. */
export type BulkTarget = { workers: readonly WorkerRef[] } | { filter: WorkerFilter };

export interface BulkFailure extends WorkerRef {
  problem: Schemas["Problem"];
}

export interface BulkResult {
  done: WorkerRef[];
  failed: BulkFailure[];
}

type Line = WorkerRef & ({ ok: true } | { ok: false; problem: Schemas["Problem"] });

const PATH = "/api/workers:bulk";

/** Counts the workers that a bulk change would reach. */
export async function previewBulk(action: BulkAction, target: BulkTarget): Promise<number> {
  if ("workers" in target) return target.workers.length;
  const json = { action, ...target, preview: true };
  const { count } = await request<{ count: number }>("post", PATH, { json });
  return count;
}

export interface BulkRun {
  action: BulkAction;
  target: BulkTarget;
  labels?: Record<string, string> | undefined;
  /** Collects how each ended, also of a run that breaks off. */
  result: BulkResult;
  onProgress: () => void;
  signal: AbortSignal;
}

/** Changes the workers and collects how each ended. */
export async function runBulk(run: BulkRun): Promise<void> {
  const { action, target, labels, result, signal } = run;
  const json = { action, ...target, ...(labels ? { labels } : {}), preview: false };
  const response = await send("post", PATH, { json, signal });
  const reader = response.body?.getReader();
  const decoder = new TextDecoder();
  let rest = "";
  while (reader) {
    const { done, value } = await reader.read();
    const lines = (rest + (value ? decoder.decode(value, { stream: true }) : "")).split("\n");
    rest = done ? "" : (lines.pop() ?? "");
    for (const line of lines) if (line.trim()) collect(result, JSON.parse(line) as Line);
    run.onProgress();
    if (done) break;
  }
}

/** Rows of a page while all that match are listed. */
const PAGE_ROWS = 1_000;

/** Lists all workers that match, so that what is about to change is exactly known. It stops one
 * beyond the most that can change at once. */
export async function listAll(filter: WorkerFilter): Promise<WorkerRow[]> {
  const rows: WorkerRow[] = [];
  let cursor: string | null = null;
  do {
    const page: WorkerPage = await listWorkers({ filter, limit: PAGE_ROWS, cursor });
    rows.push(...page.items);
    cursor = page.next_cursor;
  } while (cursor !== null && rows.length <= BULK_MOST);
  return rows;
}

/** Changes at a time while labels are restored one by one. */
const AT_ONCE = 4;

/** Gives workers the labels that they had. A bulk change adds labels; it takes none away. */
export async function restoreLabels(
  rows: readonly WorkerRow[],
  result: BulkResult,
  onProgress: () => void,
  signal: AbortSignal,
): Promise<void> {
  const left = [...rows];
  const restore = async () => {
    for (let row = left.shift(); row; row = left.shift()) {
      const { runtime_id, worker_id, labels } = row;
      try {
        await request("patch", workerPath(row), { json: { labels: labels ?? {} }, signal });
        result.done.push({ runtime_id, worker_id });
      } catch (error) {
        if (!(error instanceof Problem)) throw error;
        const { status, code, title, detail } = error;
        const problem = { type: `urn:skep:problem:${code}`, status, code, title, detail };
        result.failed.push({ runtime_id, worker_id, problem });
      }
      onProgress();
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, restore));
}

function collect(result: BulkResult, line: Line): void {
  const { runtime_id, worker_id } = line;
  if (line.ok) result.done.push({ runtime_id, worker_id });
  else result.failed.push({ runtime_id, worker_id, problem: line.problem });
}

/** Writes why one worker was not changed. */
export function failureText(failure: BulkFailure): string {
  return new Problem(failure.problem).message;
}
