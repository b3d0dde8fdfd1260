// Scratch workers: forks without grants on which an update is tried. Each is labelled, removed when
// its try ends, and removed when the tab closes. What a crashed browser left is found by the label.

import { type Schemas, request, send, workerPath } from "../api/client";

type WorkerEntry = Schemas["WorkerEntry"];

/** Label of scratch workers; the value is the id of the worker they were forked from. */
export const SCRATCH_LABEL = "skep/scratch-of";

interface Ref {
  runtime_id: string;
  worker_id: string;
}

/** Scratch workers of this tab, with the release of each one's lock. */
const mine = new Map<string, { ref: Ref; release: () => void }>();

function lockName(workerId: string): string {
  return `skep-scratch-${workerId}`;
}

/** Locks are there in secure contexts only; `localhost` and 127.0.0.1 are ones. */
function locks(): LockManager | null {
  return "locks" in navigator ? navigator.locks : null;
}

/** Held while this tab uses the worker, so that other tabs do not offer to clean it up. */
function hold(workerId: string): () => void {
  let release = () => {};
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  void locks()?.request(lockName(workerId), () => held);
  return release;
}

/**
 * Forks a worker. Without a component, the scratch worker runs the present one. The id is chosen
 * here, so that a fork whose answer is lost can be removed.
 */
export async function forkScratch(of: WorkerEntry, component: string | null): Promise<Ref> {
  const name = of.display_ref ?? of.worker_id.slice(-8);
  const ref = { runtime_id: of.runtime_id, worker_id: newWorkerId(Date.now()) };
  mine.set(ref.worker_id, { ref, release: hold(ref.worker_id) });
  try {
    await send("post", `${workerPath(of)}/fork`, {
      json: {
        worker_id: ref.worker_id,
        // The first 100 characters, as a display name has at most 128.
        display_ref: `Scratch of ${[...name].slice(0, 100).join("")}`,
        labels: { [SCRATCH_LABEL]: of.worker_id },
        ...(component === null ? {} : { component }),
      },
    });
  } catch (error) {
    await removeScratch(ref).catch(() => undefined);
    throw error;
  }
  return ref;
}

/** A UUIDv7, as worker ids are. */
export function newWorkerId(now: number): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  const view = new DataView(bytes.buffer);
  view.setUint16(0, Math.floor(now / 2 ** 32));
  view.setUint32(2, now % 2 ** 32);
  view.setUint8(6, (view.getUint8(6) & 0x0f) | 0x70);
  view.setUint8(8, (view.getUint8(8) & 0x3f) | 0x80);
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

/** Removes a scratch worker. One that is gone already is no error. */
export async function removeScratch(ref: Ref): Promise<void> {
  try {
    await send("delete", workerPath(ref));
  } catch (error) {
    const status = (error as { status?: unknown }).status;
    if (status !== 404 && status !== 410) throw error;
  }
  mine.get(ref.worker_id)?.release();
  mine.delete(ref.worker_id);
}

/** Lists scratch workers of a worker that no tab of this browser uses. */
export async function leftScratch(of: Ref, signal: AbortSignal): Promise<WorkerEntry[]> {
  const list = await request<{ items: WorkerEntry[] }>("get", "/api/runtimes/{runtime}/workers", {
    path: { runtime: of.runtime_id },
    query: { label: `${SCRATCH_LABEL}=${of.worker_id}`, limit: 100 },
    signal,
  });
  const held = new Set((await locks()?.query())?.held?.map((lock) => lock.name) ?? []);
  return list.items.filter(
    (worker) => !mine.has(worker.worker_id) && !held.has(lockName(worker.worker_id)),
  );
}

/** Removes this tab's scratch workers as it closes: `keepalive` outlives the page. */
function removeAllAtOnce(): void {
  for (const { ref } of mine.values()) {
    void fetch(workerPath(ref), { method: "DELETE", keepalive: true, credentials: "same-origin" });
  }
}

if (typeof window !== "undefined") window.addEventListener("pagehide", removeAllAtOnce);
