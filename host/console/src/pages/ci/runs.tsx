// The list of runs, newest first.

import { useState } from "preact/hooks";

import { type Schemas, call } from "../../api/client";
import { offline } from "../../api/connection";
import { me } from "../../api/session";
import { Button } from "../../parts/button";
import { CommandLine, Empty } from "../../parts/empty";
import { Loaded } from "../../parts/load";
import { Page } from "../../parts/page";
import { Time } from "../../parts/time";
import { toastFailure } from "../../parts/toast";
import { paths } from "../../router";
import { grouped } from "../../text/bytes";
import { rfc3339 } from "../../text/time";
import { usePolled } from "./poll";
import { RunState, Took } from "./words";

type Summary = Schemas["CiRunSummary"];

export function RunsPage() {
  const load = usePolled(
    (signal) => call("get", "/api/ci/runs", { signal }),
    [],
    ({ items }) => items.some((run) => run.outcome === "running"),
  );
  const [older, setOlder] = useState<{ items: Summary[]; next: string | null } | null>(null);
  const more = async (cursor: string) => {
    try {
      const page = await call("get", "/api/ci/runs", { query: { cursor } });
      setOlder({ items: [...(older?.items ?? []), ...page.items], next: page.next_cursor ?? null });
    } catch (error) {
      toastFailure("Older runs could not be read.", error);
    }
  };
  return (
    <Page
      title="Pipelines"
      actions={
        <Button quiet icon="retry" disabled={offline.value && "Skep does not answer."} onClick={load.reload}>
          Look again
        </Button>
      }
    >
      <Loaded load={load} lines={6}>
        {({ items, next_cursor }) => {
          if (items.length === 0) return <NoRuns />;
          const known = new Set(items.map((run) => run.run_id));
          const all = [...items, ...(older?.items ?? []).filter((run) => !known.has(run.run_id))];
          const next = older ? older.next : next_cursor;
          return (
            <section class="card" aria-label="Runs">
              <Runs runs={all} />
              {next && (
                <p class="inside">
                  <Button onClick={() => more(next)}>Show older</Button>
                </p>
              )}
            </section>
          );
        }}
      </Loaded>
    </Page>
  );
}

function NoRuns() {
  return (
    <Empty icon="pipelines" title="No runs yet">
      {me.value?.runtimes ? (
        <p>A token that is limited to some runtimes shows no runs.</p>
      ) : (
        <>
          <p>
            Runs of this machine’s user appear here while they run. Write <code>skep-ci.toml</code>,
            then:
          </p>
          <CommandLine command="skep ci run" />
        </>
      )}
    </Empty>
  );
}

function Runs({ runs }: { runs: readonly Summary[] }) {
  return (
    <table class="plain">
      <thead>
        <tr>
          <th scope="col">Run</th>
          <th scope="col">Outcome</th>
          <th scope="col">Started</th>
          <th scope="col" class="number">
            Took
          </th>
          <th scope="col" class="number">
            Steps
          </th>
          <th scope="col" class="number">
            Cached
          </th>
          <th scope="col" class="number">
            Failed
          </th>
        </tr>
      </thead>
      <tbody>
        {runs.map((run) => (
          <tr key={run.run_id}>
            <th scope="row" data-label="Run">
              <a href={paths.run(run.run_id)}>
                <code>{run.run_id}</code>
              </a>
            </th>
            <td data-label="Outcome">
              <RunState outcome={run.outcome} />
            </td>
            <td data-label="Started">
              <Time at={rfc3339(run.started_at_ms)} />
            </td>
            <td class="number" data-label="Took">
              <Took run={run} />
            </td>
            <td class="number" data-label="Steps">
              {grouped(run.steps.total)}
            </td>
            <td class="number" data-label="Cached">
              {grouped(run.steps.cached)}
            </td>
            <td class="number" data-label="Failed">
              {grouped(run.steps.failed)}
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
