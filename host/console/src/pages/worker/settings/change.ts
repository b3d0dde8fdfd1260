// One change of a worker's settings, with Undo. The worker that the host answers replaces the one
// on the page.

import { request, workerPath } from "../../../api/client";
import { toast } from "../../../parts/toast";
import type { LiveWorker, Worker } from "../live";

/** Sends a change. Throws the host's problem, for the part to show beside its fields. */
export async function patch(live: LiveWorker, json: object): Promise<Worker> {
  const worker = await request<Worker>("patch", workerPath(live.ref), { json });
  live.put(worker);
  return worker;
}

/** Sends a change and offers to take it back. */
export async function patchWithUndo(
  live: LiveWorker,
  json: object,
  back: object,
  done: string,
): Promise<void> {
  await patch(live, json);
  toast({
    text: done,
    undo: async () => {
      await patch(live, back);
    },
  });
}
