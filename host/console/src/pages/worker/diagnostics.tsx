// The tab "Diagnostics": what an operator should know about the worker, newest first.

import { type Schemas, request, workerPath } from "../../api/client";
import { Empty } from "../../parts/empty";
import { GuestText } from "../../parts/guest-text";
import { Loaded, useLoad } from "../../parts/load";
import { SeverityState } from "../../parts/state";
import { Time } from "../../parts/time";
import { paths } from "../../router";
import type { LiveWorker, Worker } from "./live";
import { useActivity } from "./settled";

type Listing = Schemas["ListingOfDiagnostic"];

export function DiagnosticsTab({ live, worker }: { live: LiveWorker; worker: Worker }) {
  const load = useLoad(
    (signal) => request<Listing>("get", `${workerPath(live.ref)}/diagnostics`, { signal }),
    [live, useActivity(worker)],
  );
  const denials = `${paths.worker(live.ref.runtime_id, live.ref.worker_id, "transcript")}#kind=denied`;
  return (
    <div class="scrolls">
      <Loaded load={load} lines={4}>
        {({ items }) =>
          items.length === 0 ? (
            <Empty icon="check" title="Nothing to report">
              <p>Crash loops, damaged records, denied access and the like stand here.</p>
            </Empty>
          ) : (
            <ul class="diagnostics">
              {items.map((one, at) => (
                <li key={at} class="card">
                  <div class="row wrap">
                    <SeverityState severity={one.severity} />
                    <code>{one.code}</code>
                    <span class="grow" />
                    <span class="muted">
                      <Time at={one.at} />
                    </span>
                  </div>
                  <p>
                    <GuestText text={one.message} lines />
                  </p>
                  {one.code === "denied" && (
                    <p>
                      <a href={denials}>Show denials, and grant what is missing</a>
                    </p>
                  )}
                </li>
              ))}
            </ul>
          )
        }
      </Loaded>
    </div>
  );
}
