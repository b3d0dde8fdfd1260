// One runtime: whether it answers, what it is, how much it does, and what it reports.

import { useEffect, useRef } from "preact/hooks";

import { type Schemas, call, request } from "../api/client";
import { announced, loadRuntimes, runtimes } from "../api/fleet";
import { Problem } from "../api/problem";
import { CommandLine, CopyButton, Empty } from "../parts/empty";
import { Sparkline } from "../parts/figures";
import { type Load, Loaded, Skeleton, useLoad } from "../parts/load";
import { Id, Name } from "../parts/name";
import { Page } from "../parts/page";
import { Icon } from "../parts/icon";
import { RuntimeStatus, SeverityState } from "../parts/state";
import { Time } from "../parts/time";
import { paths } from "../router";
import type { PageProps } from "../shell/pages";
import { bytes, grouped } from "../text/bytes";
import { duration } from "../text/time";
import { neutral } from "../text/guest";
import { type Sample, type Series, seriesOf } from "./runtime-history";
import { RuntimeWorkers } from "./runtime-workers";
import "../parts/plain-table.css";
import "./runtime.css";

type Runtime = Schemas["RuntimeSummary"];
type Diagnostic = Schemas["Diagnostic"];

interface History {
  interval_ms?: number;
  items: Sample[];
}

/** Time between looks at the history and the counts, in milliseconds. */
const RENEW_MS = 5_000;

const SOURCES: Record<Schemas["Source"], string> = {
  embedded: "in this process",
  remote: "another process, over the network",
  fleet: "another process, found by way of its fleet",
  local: "foreground runs on this machine, read-only",
};

export default function RuntimePage({ route }: PageProps<"runtime">) {
  const { id } = route;
  const known = runtimes.value;
  const runtime = known?.find((one) => one.runtime_id === id);
  if (known === null) {
    return (
      <Page title="Runtime">
        <Skeleton lines={6} />
      </Page>
    );
  }
  if (!runtime) {
    return (
      <Page title="Runtime" trail={[{ words: "Overview", to: paths.overview() }]}>
        <Empty icon="runtime" title="No such runtime">
          <p>
            This registry has no runtime <Id id={id} whole />, or your token is not valid for it.
          </p>
          <CommandLine command="skep remote list" />
          <a href={paths.overview()}>All runtimes</a>
        </Empty>
      </Page>
    );
  }
  return <Known key={id} runtime={runtime} />;
}

function Known({ runtime }: { runtime: Runtime }) {
  const id = runtime.runtime_id;
  const away = runtime.status === "unavailable";
  const history = useLoad<History | null>(
    async (signal) => {
      try {
        return await request<History>("get", "/api/runtimes/{runtime_id}/usage/history", {
          path: { runtime_id: id },
          signal,
        });
      } catch (error) {
        // Local runs have no history, and an older host has none for any runtime.
        const none = error instanceof Problem && [404, 405, 501].includes(error.status);
        if (none) return null;
        throw error;
      }
    },
    [id],
  );
  const diagnostics = useLoad<{ items: Diagnostic[] }>(
    async (signal) => {
      try {
        return await call("get", "/api/runtimes/{runtime_id}/diagnostics", {
          path: { runtime_id: id },
          signal,
        });
      } catch (error) {
        if (error instanceof Problem && error.status === 501) return { items: [] };
        throw error;
      }
    },
    [id],
  );
  // What is known stays when the runtime goes, and is read again when it is back.
  const first = useRef(true);
  useEffect(() => {
    if (!away && !first.current) {
      history.reload();
      diagnostics.reload();
    }
    first.current = false;
  }, [away, announced.value]);
  useEffect(() => {
    const timer = setInterval(() => {
      if (document.visibilityState !== "visible" || away) return;
      history.reload();
      loadRuntimes().catch(() => undefined);
    }, RENEW_MS);
    return () => clearInterval(timer);
  }, [id, away]);

  return (
    <Page
      title={<Name text={runtime.display_name} />}
      named={neutral(runtime.display_name)}
      trail={[{ words: "Overview", to: paths.overview() }]}
      beside={<RuntimeStatus status={runtime.status} />}
    >
      <div class={away ? "runtime-page away" : "runtime-page"}>
        {away && <Away runtime={runtime} />}
        {runtime.status === "degraded" && (
          <div class="problem warn" role="status">
            <Icon name="warn" />
            <p>It answers, but is restoring its workers or was slow a moment ago.</p>
          </div>
        )}
        <section class="figures" aria-label="Use">
          <Usage runtime={runtime} history={history} />
        </section>
        <RuntimeWorkers runtimeId={id} away={away} />
        <div class="columns">
          <Facts runtime={runtime} />
          <Diagnostics runtimeId={id} load={diagnostics} away={away} />
        </div>
      </div>
    </Page>
  );
}

function Away({ runtime }: { runtime: Runtime }) {
  return (
    <div class="problem" role="alert">
      <Icon name="offline" />
      <div class="stack">
        <p>
          <strong>
            Does not answer; last heard <Time at={runtime.unavailable_since} />.
          </strong>{" "}
          Below is what was last known of it. The other runtimes go on.
        </p>
        {(runtime.source === "remote" || runtime.source === "fleet") && (
          <p class="row wrap">
            On its host: <CommandLine command="skep doctor" />
          </p>
        )}
      </div>
    </div>
  );
}

function Usage({ runtime, history }: { runtime: Runtime; history: Load<History | null> }) {
  const series = history.value ? seriesOf(history.value.items) : null;
  const counts = { workers: runtime.workers, connected: runtime.connected };
  const span = history.value ? spanOf(history.value.items) : null;
  return (
    <>
      <Figure
        name="Workers"
        value={counts.workers === null ? "–" : grouped(counts.workers)}
        series={series?.workers}
        span={span}
      />
      <Figure
        name="Live instances"
        value={counts.connected === null ? "–" : grouped(counts.connected)}
        series={series?.connected}
        span={span}
      />
      {series && (
        <>
          <Figure
            name="Turns per second"
            value={rate(series.turns)}
            series={series.turns}
            span={span}
          />
          <Figure
            name="Queued inputs"
            value={grouped(series.queued.at(-1) ?? 0)}
            series={series.queued}
            span={span}
          />
          <Figure
            name="Instance memory"
            value={bytes(series.memory.at(-1) ?? 0)}
            series={series.memory}
            span={span}
          />
        </>
      )}
    </>
  );
}

interface FigureProps {
  name: string;
  value: string;
  series: Series | undefined;
  span: string | null;
}

function Figure({ name, value, series, span }: FigureProps) {
  const drawn = series !== undefined && series.length > 1;
  return (
    <div class="card figure">
      <div class="muted">{name}</div>
      <div class="value">{value}</div>
      {drawn && <Sparkline label={`${name}, ${span ?? ""}: now ${value}`} values={series} />}
      {drawn && span && <div class="small muted">{span}</div>}
    </div>
  );
}

function rate(values: Series): string {
  const last = values.at(-1) ?? 0;
  return last >= 100 ? grouped(Math.round(last)) : String(Number(last.toFixed(1)));
}

function spanOf(items: readonly Sample[]): string | null {
  const [first] = items;
  const last = items.at(-1);
  if (!first || !last || items.length < 2) return null;
  return `last ${duration(Date.parse(last.at) - Date.parse(first.at), 1)}`;
}

function Facts({ runtime }: { runtime: Runtime }) {
  const { capabilities: can } = runtime;
  const answers: [string, boolean][] = [
    ["create, feed and change workers", can.mutate],
    ["read transcripts", can.transcripts],
    ["read and write files", can.files],
  ];
  return (
    <section class="card">
      <header>
        <h2>About</h2>
      </header>
      <dl class="facts inside">
        <dt>Runtime id</dt>
        <dd class="row">
          <Id id={runtime.runtime_id} whole />
          <CopyButton text={runtime.runtime_id} label="Copy the id" />
        </dd>
        <dt>Source</dt>
        <dd>
          {runtime.source} <span class="muted">· {SOURCES[runtime.source]}</span>
        </dd>
        <dt>Version</dt>
        <dd>{runtime.version ?? <span class="muted">unknown</span>}</dd>
        <dt>Host</dt>
        <dd>
          {runtime.host_id ? <Id id={runtime.host_id} whole /> : <span class="muted">unknown</span>}
        </dd>
        <dt>Can</dt>
        <dd>
          <ul class="can">
            {answers.map(([words, yes]) => (
              <li key={words} class={yes ? undefined : "muted"}>
                <Icon name={yes ? "check" : "close"} />
                <span>
                  {!yes && <span class="unseen">not: </span>}
                  {words}
                </span>
              </li>
            ))}
          </ul>
        </dd>
        <dt>Stored</dt>
        <dd>
          <a href={paths.components()}>Components</a>
        </dd>
      </dl>
    </section>
  );
}

interface DiagnosticsProps {
  runtimeId: string;
  load: Load<{ items: Diagnostic[] }>;
  away: boolean;
}

function Diagnostics({ runtimeId, load, away }: DiagnosticsProps) {
  const unknown = away && load.value === undefined;
  return (
    <section class="card">
      <header>
        <h2>Diagnostics</h2>
        <span class="grow" />
        {load.value && load.value.items.length > 0 && (
          <span class="muted small">{grouped(load.value.items.length)}</span>
        )}
      </header>
      {unknown && <p class="inside">Not known while it does not answer.</p>}
      {!unknown && (
        <Loaded load={load}>
          {({ items }) =>
            items.length === 0 ? (
              <p class="inside muted row">
                <Icon name="check" /> Nothing to report.
              </p>
            ) : (
              <ul class="diagnostics">
                {items.map((one) => (
                  <li key={`${one.code} ${one.subject ?? ""} ${one.at}`}>
                    <div class="row wrap">
                      <SeverityState severity={one.severity} />
                      <code>{one.code}</code>
                      {one.subject && one.subject !== runtimeId && (
                        <a href={paths.worker(runtimeId, one.subject, "diagnostics")}>
                          <Id id={one.subject} />
                        </a>
                      )}
                      <span class="grow" />
                      <Time at={one.at} />
                    </div>
                    <p>
                      <Name text={one.message} />
                    </p>
                  </li>
                ))}
              </ul>
            )
          }
        </Loaded>
      )}
    </section>
  );
}
