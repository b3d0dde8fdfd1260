// The figures of the overview, fetched together, and again shortly after workers change.

import { useEffect, useRef } from "preact/hooks";

import { request } from "../../api/client";
import { type Diagnostic, type WorkerRow, announced, loadRuntimes, onWorkerChange, runtimes } from "../../api/fleet";
import { type Counts, listWorkers } from "../../api/workers";
import { type Load, useLoad } from "../../parts/load";

export interface Figures {
  counts: Counts | null;
  recent: readonly WorkerRow[];
  failed: readonly WorkerRow[];
  diagnostics: readonly Diagnostic[];
}

/** Time between two reads while workers change, in milliseconds. */
const AGAIN_MS = 2_000;

/** Workers that changed last, and failed ones, to show. */
const RECENT = 8;
const FAILED = 5;

export function useFigures(): Load<Figures> {
  const load = useLoad(read, [announced.value]);
  const statuses = runtimes.value?.map(({ status }) => status).join(" ");
  const before = useRef(statuses);
  useEffect(() => {
    // A problem with a runtime is over once the runtime answers again.
    if (before.current !== undefined && before.current !== statuses) load.reload();
    before.current = statuses;
  }, [statuses]);
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const stop = onWorkerChange(() => {
      timer ??= setTimeout(() => {
        timer = undefined;
        load.reload();
        loadRuntimes().catch(() => {});
      }, AGAIN_MS);
    });
    return () => {
      stop();
      clearTimeout(timer);
    };
  }, []);
  return load;
}

async function read(signal: AbortSignal): Promise<Figures> {
  const [recent, diagnostics] = await Promise.all([
    listWorkers({ sort: "updated_at", descending: true, limit: RECENT, signal }),
    request<{ items: Diagnostic[] }>("get", "/api/diagnostics", { signal }),
  ]);
  const some = recent.counts === null || recent.counts.failed > 0;
  const filter = { state: "failed" };
  const failed = some ? await listWorkers({ filter, limit: FAILED, signal }) : { items: [] };
  return {
    counts: recent.counts,
    recent: recent.items,
    failed: failed.items,
    diagnostics: [...recent.diagnostics, ...diagnostics.items],
  };
}
