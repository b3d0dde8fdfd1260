// Changes of many workers at once: a preview that counts them, and a run that reports each as it
// finishes. Leaving the run stops what has not begun.

import { type Schemas, request, send } from "../api/client";
import type { WorkerRef } from "../api/fleet";
import { Problem } from "../api/problem";
import type { WorkerFilter } from "../api/workers";

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
  labels?: Record<string, string | null>;
  onProgress: (done: number, failed: number) => void;
  signal: AbortSignal;
}

/** Changes the workers and collects how each ended. A run that breaks off throws what it has. */
export async function runBulk(run: BulkRun): Promise<BulkResult> {
  const { action, target, labels, signal } = run;
  const json = { action, ...target, ...(labels ? { labels } : {}), preview: false };
  const response = await send("post", PATH, { json, signal });
  const result: BulkResult = { done: [], failed: [] };
  const reader = response.body?.getReader();
  const decoder = new TextDecoder();
  let rest = "";
  while (reader) {
    const { done, value } = await reader.read();
    const lines = (rest + (value ? decoder.decode(value, { stream: true }) : "")).split("\n");
    rest = done ? "" : (lines.pop() ?? "");
    for (const line of lines) if (line.trim()) collect(result, JSON.parse(line) as Line);
    run.onProgress(result.done.length, result.failed.length);
    if (done) break;
  }
  return result;
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
