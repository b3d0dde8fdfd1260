// One run: how it ended, what failed, and its steps in the order of their needs.

import { useState } from "preact/hooks";

import { call } from "../../api/client";
import { Problem } from "../../api/problem";
import { Button } from "../../parts/button";
import { CommandLine, Empty } from "../../parts/empty";
import { Segments } from "../../parts/field";
import { Loaded } from "../../parts/load";
import { Id, Name } from "../../parts/name";
import { Page } from "../../parts/page";
import { Time } from "../../parts/time";
import { paths } from "../../router";
import { grouped } from "../../text/bytes";
import { duration, rfc3339 } from "../../text/time";
import { Failures } from "./failures";
import { usePolled } from "./poll";
import { type Run, RunState, type Step, StepState, Took, failsRun, isLive, levels } from "./words";

/** Rows that are shown at first, and more at each press. */
const ROWS = 200;

/** Reads a run; null if there is none. */
export async function readRun(run: string, signal: AbortSignal): Promise<Run | null> {
  try {
    return await call("get", "/api/ci/runs/{run_id}", { path: { run_id: run }, signal });
  } catch (error) {
    if (error instanceof Problem && (error.status === 404 || error.status === 400)) return null;
    throw error;
  }
}

export function RunPage({ run: id }: { run: string }) {
  const load = usePolled(
    (signal) => readRun(id, signal),
    [id],
    (run) => run?.outcome === "running",
  );
  const run = load.value;
  return (
    <Page
      title={<Id id={id} whole />}
      named={`Run ${id}`}
      trail={[{ words: "Pipelines", to: paths.ci() }]}
      beside={run && <RunState outcome={run.outcome} />}
    >
      <Loaded load={load} lines={8}>
        {(run) =>
          run ? (
            <div class="ci-page">
              <Facts run={run} />
              <Failures run={run} />
              <Steps run={run} />
            </div>
          ) : (
            <NoRun id={id} />
          )
        }
      </Loaded>
    </Page>
  );
}

/** Where a run would be. */
export function NoRun({ id }: { id: string }) {
  return (
    <Empty icon="pipelines" title="No such run">
      <p>
        There is no run <Id id={id} whole /> here. Old runs are removed by <code>skep ci gc</code>, and
        the oldest of very many by themselves.
      </p>
      <CommandLine command="skep ci run" />
      <a href={paths.ci()}>All runs</a>
    </Empty>
  );
}

const TOOK: Partial<Record<Run["outcome"], string>> = {
  running: "Runs for",
  interrupted: "Last heard after",
};

function Facts({ run }: { run: Run }) {
  const count = (test: (step: Step) => boolean) => run.steps.filter(test).length;
  const counts: [number, string][] = [
    [count((step) => step.outcome === "running"), "running"],
    [count((step) => step.outcome === "waiting"), "waiting"],
    [count(failsRun), "failed"],
    [count((step) => step.cached !== null), "cached"],
    [count((step) => step.outcome === "skipped"), "skipped"],
  ];
  const words = counts.filter(([n]) => n > 0).map(([n, word]) => `${grouped(n)} ${word}`);
  return (
    <section class="card" aria-label="About the run">
      <dl class="facts inside">
        <dt>Started</dt>
        <dd>
          <Time at={rfc3339(run.started_at_ms)} exact />
        </dd>
        <dt>{TOOK[run.outcome] ?? "Took"}</dt>
        <dd>
          <Took run={run} />
        </dd>
        <dt>Steps</dt>
        <dd>{[grouped(run.steps.length), ...words].join(" · ")}</dd>
        <dt>Ran on</dt>
        <dd>
          <Name text={run.host.executor} />, Skep {run.host.version}
        </dd>
        <dt>Pipeline file</dt>
        <dd>
          <Id id={run.pipeline_digest} />
        </dd>
      </dl>
      {run.outcome === "interrupted" && (
        <p class="inside muted">
          Its process ended before it did. What had ended by then is kept, also in the cache: the next
          run goes on from there.
        </p>
      )}
    </section>
  );
}

type Shown = "all" | "failed" | "live";

function Steps({ run }: { run: Run }) {
  const [shown, setShown] = useState<Shown>("all");
  const [most, setMost] = useState(ROWS);
  const level = levels(run.steps);
  const picked = run.steps.filter((step) =>
    shown === "all" ? true : shown === "failed" ? failsRun(step) : isLive(step.outcome),
  );
  const ordered = [...picked].sort((a, b) => level.get(a.id)! - level.get(b.id)!);
  const groups = new Map<number, Step[]>();
  for (const step of ordered.slice(0, most)) {
    const at = level.get(step.id)!;
    groups.set(at, [...(groups.get(at) ?? []), step]);
  }
  const left = ordered.length - most;
  return (
    <section class="card" aria-label="Steps">
      <header>
        <h2>Steps</h2>
        <span class="grow" />
        <Segments
          label="Show"
          value={shown}
          options={[
            { value: "all", words: "All" },
            { value: "failed", words: "Failed" },
            { value: "live", words: "Not ended" },
          ]}
          onChange={setShown}
        />
      </header>
      {ordered.length === 0 ? (
        <p class="inside muted">No such step.</p>
      ) : (
        <table class="plain ci-steps">
          <thead>
            <tr>
              <th scope="col">Step</th>
              <th scope="col">State</th>
              <th scope="col">Needs</th>
              <th scope="col" class="number">
                Took
              </th>
              <th scope="col">Notes</th>
            </tr>
          </thead>
          {[...groups].map(([at, steps]) => (
            <tbody key={at}>
              <tr class="level">
                <th scope="rowgroup" colSpan={5}>
                  {at === 1 ? "First" : `Level ${at}`}
                </th>
              </tr>
              {steps.map((step) => (
                <Row key={step.id} run={run} step={step} />
              ))}
            </tbody>
          ))}
        </table>
      )}
      {left > 0 && (
        <p class="inside">
          <Button onClick={() => setMost(most + ROWS)}>Show more ({grouped(left)} left)</Button>
        </p>
      )}
    </section>
  );
}

/** Needs that a row names; a step after a large matrix has hundreds. */
const NEEDS = 3;

function Row({ run, step }: { run: Run; step: Step }) {
  const needs = step.needs ?? [];
  const all = notes(step);
  return (
    <tr>
      <th scope="row" data-label="Step">
        <a href={paths.step(run.run_id, step.id)}>
          <Name text={step.id} />
        </a>
      </th>
      <td data-label="State">
        <StepState step={step} />
      </td>
      <td data-label="Needs">
        <span class="ci-needs">
          {needs.length === 0 && <span class="muted">nothing</span>}
          {needs.slice(0, NEEDS).map((need) => (
            <Name key={need} text={need} />
          ))}
          {needs.length > NEEDS && <span class="muted">and {grouped(needs.length - NEEDS)} more</span>}
        </span>
      </td>
      <td class="number" data-label="Took">
        {step.attempts > 0 && !step.cached ? duration(step.timing.run_ms) : "–"}
      </td>
      <td data-label="Notes">
        <span class="ci-notes">{all.length > 0 ? all : <span class="muted">–</span>}</span>
      </td>
    </tr>
  );
}

/** What else is worth a word in a row. */
function notes(step: Step) {
  const all = [];
  const { tests } = step;
  if (tests) {
    const tone = tests.failed > 0 ? "bad" : "good";
    const flaky = tests.flaky > 0 ? `, ${grouped(tests.flaky)} flaky` : "";
    all.push(
      <span key="tests" class={`badge ${tone}`}>
        {grouped(tests.passed)} passed, {grouped(tests.failed)} failed{flaky}
      </span>,
    );
  }
  for (const limit of step.limits_met ?? []) {
    all.push(
      <span key={`limit ${limit}`} class="badge warn">
        <Name text={limit} />
      </span>,
    );
  }
  const denied = step.denials?.length ?? 0;
  if (denied > 0) {
    all.push(
      <span key="denied" class="badge warn">
        {grouped(denied)} denied
      </span>,
    );
  }
  if (step.attempts > 1) {
    all.push(
      <span key="attempts" class="badge">
        {grouped(step.attempts)} attempts
      </span>,
    );
  }
  const files = step.out.files.length;
  if (files > 0) {
    all.push(
      <span key="files" class="badge">
        {grouped(files)} {files === 1 ? "file" : "files"}
      </span>,
    );
  }
  return all;
}
