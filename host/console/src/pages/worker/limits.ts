// The table of limits: the host's, and what one worker has changed of it.

import { signal } from "@preact/signals";
import { useEffect } from "preact/hooks";

import { request } from "../../api/client";
import type { LimitUnit } from "../../text/bytes";
import type { Worker } from "./live";

/** One limit as `GET /api/limits` describes it. Null is off, and no ceiling. */
export interface Limit {
  name: string;
  unit: LimitUnit;
  default: number | null;
  why: string;
  per_worker: boolean;
  /** The most that the caller's role may set. */
  ceiling: number | null;
}

const limits = signal<readonly Limit[] | undefined>(undefined);

/** Why the table is not known. */
export const limitsProblem = signal<unknown>(undefined);

let asked = false;

/** Returns the table, or undefined before it is known. It is read once: it changes with the host. */
export function useLimits(): readonly Limit[] | undefined {
  useEffect(() => {
    if (asked) return;
    asked = true;
    request<{ items: Limit[] }>("get", "/api/limits").then(
      ({ items }) => {
        limits.value = items;
        limitsProblem.value = undefined;
      },
      (error: unknown) => {
        // The next part that needs it asks again.
        asked = false;
        limitsProblem.value = error;
      },
    );
  }, []);
  return limits.value;
}

/** Returns the value that holds for a worker; null if it is off or not known. */
export function limitOf(all: readonly Limit[] | undefined, worker: Worker, name: string): number | null {
  const own = (worker.limits as Record<string, number | undefined>)[name];
  // The highest number of all is how a request spells off; JSON.parse rounds it up.
  if (own !== undefined) return own >= 2 ** 63 ? null : own;
  return all?.find((limit) => limit.name === name)?.default ?? null;
}
