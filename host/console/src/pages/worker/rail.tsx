// The rail: how much a worker used lately and in all, against its limits, and what it is made of.

import { type Schemas, request, workerPath } from "../../api/client";
import { Problem } from "../../api/problem";
import { Gauge, Sparkline } from "../../parts/figures";
import { useLoad } from "../../parts/load";
import { Id, Name } from "../../parts/name";
import { Time } from "../../parts/time";
import { paths } from "../../router";
import { bytes, grouped, short } from "../../text/bytes";
import { duration } from "../../text/time";
import { limitOf, useLimits } from "./limits";
import type { LiveWorker, Worker } from "./live";
import { useActivity } from "./settled";

type Usage = Schemas["Usage"];

interface Sample {
  at: string;
  turns: number;
  cpu_us: number;
  wall_us: number;
  memory_bytes: number;
  disk_bytes: number;
  transcript_bytes: number;
  queued_inputs: number;
}

interface History {
  interval_ms: number;
  items: Sample[];
}

interface GaugeOf {
  label: string;
  limit: string;
  value: (used: Usage, worker: Worker) => number;
  text: (value: number) => string;
}

const GAUGES: readonly GaugeOf[] = [
  { label: "Memory, peak", limit: "memory_bytes", value: (used) => used.memory_peak_bytes, text: bytes },
  { label: "Disk", limit: "disk_bytes", value: (used) => used.disk_bytes, text: bytes },
  { label: "Files", limit: "disk_entries", value: (used) => used.disk_entries, text: short },
  { label: "State", limit: "state_bytes", value: (used) => used.state_bytes, text: bytes },
  { label: "Transcript", limit: "transcript_bytes", value: (used) => used.transcript_bytes, text: bytes },
  { label: "Mailbox", limit: "mailbox_inputs", value: (_, worker) => worker.queued_inputs, text: short },
];

export function Rail({ live, worker }: { live: LiveWorker; worker: Worker }) {
  const base = workerPath(live.ref);
  // Turns end and instances come and go: figures are read again then, not at each second.
  const keys = [base, useActivity(worker)];
  const usage = useLoad((signal) => request<Usage>("get", `${base}/usage`, { signal }), keys);
  const history = useLoad(async (signal) => {
    try {
      return await request<History>("get", `${base}/usage/history`, { signal });
    } catch (error) {
      // A host without a history has the figures of today only.
      if (error instanceof Problem && (error.status === 404 || error.status === 501)) return null;
      throw error;
    }
  }, keys);
  const limits = useLimits();
  const used = usage.value;
  return (
    <aside class="rail" aria-label="About this worker">
      {used && (
        <section>
          <h2>Use</h2>
          <History history={history.value} />
          <dl class="facts">
            <dt>Turns</dt>
            <dd>{grouped(used.turns)}</dd>
            <dt>CPU</dt>
            <dd>{duration(used.cpu_us / 1000)}</dd>
            <dt>Wall</dt>
            <dd>{duration(used.wall_us / 1000)}</dd>
            {used.turns > 0 && (
              <>
                <dt>Per turn</dt>
                <dd>{duration(used.wall_us / 1000 / used.turns)}</dd>
              </>
            )}
          </dl>
        </section>
      )}
      {used && limits && (
        <section class="stack">
          <h2>Against limits</h2>
          {GAUGES.map(({ label, limit, value, text }) => (
            <Gauge
              key={limit}
              label={label}
              value={value(used, worker)}
              most={limitOf(limits, worker, limit)}
              text={text}
            />
          ))}
        </section>
      )}
      <section>
        <h2>Made of</h2>
        <dl class="facts">
          <dt>Id</dt>
          <dd>
            <Id id={worker.worker_id} />
          </dd>
          <dt>Component</dt>
          <dd>
            <a href={paths.component(worker.runtime_id, worker.component)}>
              <Id id={worker.component} />
            </a>
          </dd>
          {worker.previous && (
            <>
              <dt>Before</dt>
              <dd>
                <Id id={worker.previous.component} />
              </dd>
            </>
          )}
          <dt>Wanted</dt>
          <dd>{worker.desired}</dd>
          <dt>Created</dt>
          <dd>
            <Time at={worker.created_at} />
          </dd>
          <dt>Updated</dt>
          <dd>
            <Time at={worker.updated_at} />
          </dd>
        </dl>
      </section>
      <Labels labels={worker.labels} />
    </aside>
  );
}

function Labels({ labels }: { labels: Record<string, string> }) {
  const all = Object.entries(labels);
  if (all.length === 0) return null;
  return (
    <section>
      <h2>Labels</h2>
      <ul class="labels">
        {all.map(([key, value]) => (
          <li key={key} class="badge">
            <Name text={key} />=<Name text={value} />
          </li>
        ))}
      </ul>
    </section>
  );
}

/** Samples are cumulative; what is drawn is the difference of each to the one before. */
function History({ history }: { history: History | null | undefined }) {
  const items = history?.items ?? [];
  if (items.length < 2) return null;
  const turns = items.slice(1).map((one, at) => Math.max(0, one.turns - items[at]!.turns));
  const minutes = Math.max(1, Math.round((Date.parse(items.at(-1)!.at) - Date.parse(items[0]!.at)) / 60_000));
  const sum = turns.reduce((all, one) => all + one, 0);
  return (
    <figure class="spark">
      <figcaption class="row">
        <span class="grow muted small">Turns, last {minutes} min</span>
        <span class="number">{grouped(sum)}</span>
      </figcaption>
      <Sparkline label={`Turns in the last ${minutes} minutes: ${sum}`} values={turns} />
      <figcaption class="row">
        <span class="grow muted small">Memory</span>
        <span class="number">{bytes(items.at(-1)!.memory_bytes)}</span>
      </figcaption>
      <Sparkline
        label={`Memory, now ${bytes(items.at(-1)!.memory_bytes)}`}
        values={items.map((one) => one.memory_bytes)}
        least={1 << 20}
      />
    </figure>
  );
}
