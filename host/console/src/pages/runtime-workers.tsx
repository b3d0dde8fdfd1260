// The workers of one runtime that changed last, with the counts of all by state.

import { useEffect, useRef } from "preact/hooks";

import { type Schemas, request } from "../api/client";
import { onWorkerChange } from "../api/fleet";
import { Problem } from "../api/problem";
import { CommandLine, Empty } from "../parts/empty";
import { Loaded, useLoad } from "../parts/load";
import { Id, Name } from "../parts/name";
import { WorkerState } from "../parts/state";
import { Time } from "../parts/time";
import { paths } from "../router";
import { grouped } from "../text/bytes";

type WorkerEntry = Schemas["WorkerEntry"];

const STATES = ["busy", "failed", "idle", "exited", "stopped"] as const;

interface Listing {
  items: WorkerEntry[];
  counts?: Partial<Record<(typeof STATES)[number] | "total", number>>;
}

/** Workers shown. The page Workers has all of them. */
const SHOWN = 12;

/** Changes in quick succession are read once, after this time in milliseconds. */
const SETTLE_MS = 1_000;

export function RuntimeWorkers({ runtimeId, away }: { runtimeId: string; away: boolean }) {
  const read = (query: Record<string, string | number>, signal: AbortSignal) =>
    request<Listing>("get", "/api/runtimes/{runtime_id}/workers", {
      path: { runtime_id: runtimeId },
      query: { limit: SHOWN, ...query },
      signal,
    });
  const load = useLoad<Listing | null>(
    async (signal) => {
      if (away) return null;
      try {
        return await read({ sort: "updated_at", order: "desc" }, signal);
      } catch (error) {
        // A host that does not sort yet.
        if (error instanceof Problem && error.status === 400) return read({}, signal);
        throw error;
      }
    },
    [runtimeId],
  );
  const { reload } = load;
  const first = useRef(true);
  useEffect(() => {
    if (!first.current && !away) reload();
    first.current = false;
  }, [away]);
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const stop = onWorkerChange((change) => {
      if (change.runtime_id !== runtimeId) return;
      timer ??= setTimeout(() => {
        timer = undefined;
        reload();
      }, SETTLE_MS);
    });
    return () => {
      stop();
      clearTimeout(timer);
    };
  }, [runtimeId]);

  return (
    <section class="card" aria-labelledby="runtime-workers">
      <header>
        <h2 id="runtime-workers">Workers</h2>
        <span class="grow" />
        <Counts listing={load.value} />
        <a class="button quiet" href={paths.workers()}>
          All workers
        </a>
      </header>
      <Loaded load={load}>
        {(listing) =>
          listing === null ? (
            <p class="inside">Not known while it does not answer.</p>
          ) : listing.items.length === 0 ? (
            <Empty icon="workers" title="No workers yet">
              <p>Drop a .wasm file anywhere on this page to make one.</p>
              <CommandLine command="skep worker create counter.wasm" />
            </Empty>
          ) : (
            <Rows workers={listing.items} />
          )
        }
      </Loaded>
    </section>
  );
}

function Counts({ listing }: { listing: Listing | null | undefined }) {
  const counts = listing?.counts;
  if (!counts) return null;
  return (
    <span class="muted small">
      {STATES.filter((state) => counts[state])
        .map((state) => `${grouped(counts[state] ?? 0)} ${state}`)
        .join(" · ")}
    </span>
  );
}

function Rows({ workers }: { workers: readonly WorkerEntry[] }) {
  return (
    <table class="plain">
      <thead>
        <tr>
          <th scope="col">Worker</th>
          <th scope="col">Kind</th>
          <th scope="col">State</th>
          <th scope="col" class="number">
            Queued
          </th>
          <th scope="col" class="end">
            Changed
          </th>
        </tr>
      </thead>
      <tbody>
        {workers.map((one) => (
          <tr key={one.worker_id}>
            <th scope="row" data-label="Worker">
              <a href={paths.worker(one.runtime_id, one.worker_id)}>
                {one.display_ref ? <Name text={one.display_ref} /> : <Id id={one.worker_id} />}
              </a>
            </th>
            <td data-label="Kind">
              <span class="badge calm">{one.kind}</span>
            </td>
            <td data-label="State">
              <WorkerState observed={one.observed} />
            </td>
            <td class="number" data-label="Queued">
              {grouped(one.queued_inputs)}
            </td>
            <td class="end" data-label="Changed">
              <Time at={one.updated_at} />
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
