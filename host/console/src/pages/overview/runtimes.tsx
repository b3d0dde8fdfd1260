// The runtimes, each with its host, its workers and the course of its memory.

import { request } from "../../api/client";
import type { Runtime } from "../../api/fleet";
import { Sparkline } from "../../parts/figures";
import { useLoad } from "../../parts/load";
import { Id, Name } from "../../parts/name";
import { RuntimeStatus } from "../../parts/state";
import { Time } from "../../parts/time";
import { paths } from "../../router";
import { bytes, grouped } from "../../text/bytes";

const SOURCES: Record<Runtime["source"], string> = {
  embedded: "in this host",
  remote: "remote",
  fleet: "fleet",
  local: "foreground runs on this machine",
};

interface Sample {
  at: string;
  memory_bytes: number;
}

interface Props {
  runtimes: readonly Runtime[];
}

export function RuntimeCards({ runtimes }: Props) {
  const hosts = new Set(runtimes.flatMap(({ host_id }) => host_id ?? [])).size;
  return (
    <section class="stack" aria-label="Runtimes">
      <h2>
        Runtimes{" "}
        {hosts > 1 && <span class="muted small">on {grouped(hosts)} hosts</span>}
      </h2>
      <div class="runtime-cards">
        {runtimes.map((one) => (
          <RuntimeCard key={one.runtime_id} runtime={one} />
        ))}
      </div>
    </section>
  );
}

function RuntimeCard({ runtime }: { runtime: Runtime }) {
  const away = runtime.status === "unavailable";
  return (
    <a class={away ? "card runtime-card away" : "card runtime-card"} href={paths.runtime(runtime.runtime_id)}>
      <div class="row">
        <span class="grow clip strong title">
          <Name text={runtime.display_name} />
        </span>
        <RuntimeStatus status={runtime.status} />
      </div>
      <p class="muted small clip">
        {SOURCES[runtime.source]}
        {runtime.version && <> · {runtime.version}</>}
        {runtime.host_id && (
          <>
            {" "}
            · host <Id id={runtime.host_id} />
          </>
        )}
      </p>
      <dl>
        <div>
          <dt class="muted small">Workers</dt>
          <dd>{runtime.workers == null ? "–" : grouped(runtime.workers)}</dd>
        </div>
        <div>
          <dt class="muted small">Live instances</dt>
          <dd>{runtime.connected == null ? "–" : grouped(runtime.connected)}</dd>
        </div>
        {runtime.source !== "local" && !away && <Memory runtime={runtime.runtime_id} />}
      </dl>
      {away && runtime.unavailable_since && (
        <p class="small">
          Last heard <Time at={runtime.unavailable_since} />. Its numbers are from then.
        </p>
      )}
    </a>
  );
}

function Memory({ runtime }: { runtime: string }) {
  const history = useLoad(
    (signal) =>
      request<{ items: Sample[] }>("get", "/api/runtimes/{runtime_id}/usage/history", {
        path: { runtime_id: runtime },
        signal,
      }),
    [runtime],
  );
  const values = history.value?.items.map((one) => one.memory_bytes) ?? [];
  const last = values.at(-1);
  if (last === undefined) return null;
  return (
    <div class="memory">
      <dt class="muted small">Memory</dt>
      <dd>{bytes(last)}</dd>
      {values.length > 1 && (
        <dd class="course">
          <Sparkline label="Memory over time" values={values} least={1 << 20} />
        </dd>
      )}
    </div>
  );
}
