// The workers that changed last.

import type { WorkerRow } from "../../api/fleet";
import { Name, shortId } from "../../parts/name";
import { WorkerState } from "../../parts/state";
import { Time } from "../../parts/time";
import { paths } from "../../router";

export function Recent({ workers }: { workers: readonly WorkerRow[] }) {
  return (
    <section class="card">
      <header>
        <h2 class="grow">Changed last</h2>
        <a class="small" href={paths.workers()}>
          All workers
        </a>
      </header>
      <ul class="recent">
        {workers.map((worker) => (
          <li key={worker.worker_id}>
            <a href={paths.worker(worker.runtime_id, worker.worker_id)}>
              <span class="clip strong grow">
                <Name text={worker.display_ref ?? shortId(worker.worker_id)} />
              </span>
              <WorkerState observed={worker.observed} />
              <span class="muted small when">
                <Time at={worker.updated_at} />
              </span>
            </a>
          </li>
        ))}
      </ul>
    </section>
  );
}
