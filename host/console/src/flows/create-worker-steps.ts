// The steps from a file to a running worker: read in the browser, find what the runtime has, upload
// what it has not, create.

import { type Schemas, call, request } from "../api/client";
import { Problem } from "../api/problem";
import { upload } from "../api/upload";
import type { Grants } from "../grants/grants";
import { FileRefusal, type Shape, digestOf, readComponent } from "../wasm/component";
import { newWorkerId } from "./scratch";

type ComponentView = Schemas["ComponentView"];
type WorkerEntry = Schemas["WorkerEntry"];

/** A file as the browser read it. */
export type Examined =
  | { ok: true; shape: Shape; bytes: Blob; /** Null in an insecure context. */ digest: string | null; ms: number }
  | { ok: false; message: string };

/** Largest file that is read into the page. The runtime's limit is 128 MiB. */
const MOST_BYTES = 512 << 20;

/** Reads a file. `onShape` is called before the digest is known, which takes longer. */
export async function examine(
  file: Blob,
  onShape: (shape: Shape) => void,
): Promise<Examined> {
  const start = performance.now();
  if (file.size > MOST_BYTES) {
    return { ok: false, message: "the file is larger than any runtime takes (128 MiB)" };
  }
  try {
    const bytes = new Uint8Array(await file.arrayBuffer());
    const shape = readComponent(bytes);
    onShape(shape);
    const digest = (await digestOf(bytes)) ?? null;
    // The bytes that were read are the ones to send: the file may change on disk meanwhile.
    return { ok: true, shape, bytes: new Blob([bytes]), digest, ms: performance.now() - start };
  } catch (error) {
    if (error instanceof FileRefusal) return { ok: false, message: error.message };
    // A folder, or a file that was removed or made unreadable since it was dropped.
    return { ok: false, message: "the browser cannot read it: drop a single .wasm file" };
  }
}

/** Finds a component on a runtime; null if it has none with this digest. */
export async function findComponent(
  runtimeId: string,
  digest: string,
  signal?: AbortSignal,
): Promise<ComponentView | null> {
  try {
    return await call("get", "/api/runtimes/{runtime_id}/components/{digest}", {
      path: { runtime_id: runtimeId, digest },
      signal,
    });
  } catch (error) {
    if (error instanceof Problem && error.status === 404) return null;
    throw error;
  }
}

/** Uploads a component, with progress. Aborting keeps nothing at the host. */
export function uploadComponent(
  runtimeId: string,
  bytes: Blob,
  progress: (sent: number, total: number) => void,
  signal: AbortSignal,
): Promise<ComponentView> {
  return upload<ComponentView>("post", "/api/runtimes/{runtime_id}/components", bytes, {
    path: { runtime_id: runtimeId },
    headers: { "content-type": "application/octet-stream" },
    progress,
    signal,
  });
}

export interface Order {
  runtimeId: string;
  component: string;
  name: string;
  grants: Grants;
  config: Record<string, string> | null;
}

/** Creates a worker. A repeated call with the same id answers the same worker. */
export async function createWorker(order: Order, workerId: string): Promise<WorkerEntry> {
  let config: string | undefined;
  if (order.config) {
    const stored = await call("post", "/api/runtimes/{runtime_id}/configs", {
      path: { runtime_id: order.runtimeId },
      json: { values: order.config },
    });
    config = stored.digest;
  }
  return request<WorkerEntry>("post", "/api/runtimes/{runtime_id}/workers", {
    path: { runtime_id: order.runtimeId },
    json: {
      worker_id: workerId,
      component: order.component,
      grants: order.grants,
      ...(order.name === "" ? {} : { display_ref: order.name }),
      ...(config === undefined ? {} : { config }),
    },
  });
}

export { newWorkerId };
