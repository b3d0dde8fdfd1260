// One step of a run: what it printed, what it left, why it ran, and its numbers.

import { Fragment } from "preact";

import { call, url } from "../../api/client";
import { CommandLine, CopyButton, Empty } from "../../parts/empty";
import { GuestText } from "../../parts/guest-text";
import { Icon } from "../../parts/icon";
import { Loaded, useLoad } from "../../parts/load";
import { Id, Name } from "../../parts/name";
import { Page } from "../../parts/page";
import { Time } from "../../parts/time";
import { paths } from "../../router";
import { exactBytes, grouped } from "../../text/bytes";
import { neutral } from "../../text/guest";
import { rfc3339 } from "../../text/time";
import { FailedTests } from "./failures";
import { Log } from "./log";
import { usePolled } from "./poll";
import { NoRun, readRun } from "./run";
import { type Run, type Step, StepState, end, exactMs, isLive, quoted } from "./words";

/** Outputs that are listed. */
const FILES = 500;

export function StepPage({ run: runId, step: id }: { run: string; step: string }) {
  const stepOf = (run: Run) => run.steps.find((step) => step.id === id);
  const load = usePolled(
    (signal) => readRun(runId, signal),
    [runId, id],
    (run) => run !== null && isLive(stepOf(run)?.outcome),
  );
  const step = load.value ? stepOf(load.value) : undefined;
  return (
    <Page
      title={<Name text={id} />}
      named={`Step ${neutral(id)}`}
      trail={[
        { words: "Pipelines", to: paths.ci() },
        { words: <Id id={runId} whole />, to: paths.run(runId) },
      ]}
      beside={step && <StepState step={step} />}
    >
      <Loaded load={load} lines={8}>
        {(run) => {
          if (run === null) return <NoRun id={runId} />;
          const step = stepOf(run);
          return step ? <Parts run={run} step={step} /> : <NoStep run={run} id={id} />;
        }}
      </Loaded>
    </Page>
  );
}

function NoStep({ run, id }: { run: Run; id: string }) {
  return (
    <Empty icon="pipelines" title="No such step">
      <p>
        This run has no step <Name text={id} />.
      </p>
      <a href={paths.run(run.run_id)}>All steps of the run</a>
    </Empty>
  );
}

function Parts({ run, step }: { run: Run; step: Step }) {
  return (
    <div class="ci-page">
      <Facts run={run} step={step} />
      {step.outcome !== "waiting" && step.outcome !== "skipped" && (
        <Log run={run.run_id} step={step.id} live={isLive(step.outcome)} />
      )}
      <Outputs run={run} step={step} />
      {step.tests && <Tests step={step} tests={step.tests} />}
      <Denials step={step} />
      <Explanation run={run} step={step} />
      <Numbers step={step} />
    </div>
  );
}

function Facts({ run, step }: { run: Run; step: Step }) {
  const needs = step.needs ?? [];
  const matrix = Object.entries(step.matrix ?? {});
  const limits = step.limits_met ?? [];
  return (
    <section class="card" aria-label="About the step">
      <dl class="facts inside">
        <dt>End</dt>
        <dd>
          {end(step)}
          {step.message && (
            <>
              : <GuestText text={step.message} />
            </>
          )}
        </dd>
        {step.started_at_ms != null && (
          <>
            <dt>Started</dt>
            <dd>
              <Time at={rfc3339(step.started_at_ms)} />
            </dd>
          </>
        )}
        {step.cached && (
          <>
            <dt>Cached from</dt>
            <dd>
              <a href={paths.step(step.cached.from_run, step.id)}>
                <Id id={step.cached.from_run} whole />
              </a>
            </dd>
          </>
        )}
        {limits.length > 0 && (
          <>
            <dt>Limits met</dt>
            <dd class="ci-notes">
              {limits.map((limit) => (
                <span key={limit} class="badge warn">
                  <Name text={limit} />
                </span>
              ))}
            </dd>
          </>
        )}
        <dt>Program</dt>
        <dd class="row wrap">
          {step.tool ? <Name text={step.tool} /> : <span class="muted">not known yet</span>}
          {step.component && <Id id={step.component} />}
        </dd>
        {matrix.length > 0 && (
          <>
            <dt>Matrix</dt>
            <dd>
              {matrix.map(([key, value]) => (
                <div key={key}>
                  <Name text={key} /> = <Name text={value} />
                </div>
              ))}
            </dd>
          </>
        )}
        <dt>Needs</dt>
        <dd class="ci-needs">
          {needs.length === 0 && <span class="muted">nothing</span>}
          {needs.map((need) => (
            <a key={need} href={paths.step(run.run_id, need)}>
              <Name text={need} />
            </a>
          ))}
        </dd>
      </dl>
    </section>
  );
}

function Outputs({ run, step }: { run: Run; step: Step }) {
  const { files, dropped, absent = [] } = step.out;
  if (files.length === 0 && dropped === 0 && absent.length === 0) return null;
  const address = (path: string) =>
    url("/api/ci/runs/{run_id}/output", {
      path: { run_id: run.run_id },
      query: { step: step.id, path },
    });
  return (
    <section class="card" aria-label="Outputs">
      <header>
        <h2>Outputs</h2>
        <span class="grow" />
        <span class="muted small">{grouped(files.length)}</span>
      </header>
      {files.length > 0 && (
        <table class="plain">
          <thead>
            <tr>
              <th scope="col">File</th>
              <th scope="col" class="number">
                Size
              </th>
              <th scope="col">Digest</th>
              <th scope="col">
                <span class="unseen">Download</span>
              </th>
            </tr>
          </thead>
          <tbody>
            {files.slice(0, FILES).map((file) => (
              <tr key={file.path}>
                <th scope="row" data-label="File" class="ci-break">
                  <Name text={file.path} />
                </th>
                <td class="number" data-label="Size">
                  {exactBytes(file.bytes)}
                </td>
                <td data-label="Digest">
                  <Id id={file.digest} />
                </td>
                <td class="end">
                  <CopyButton text={file.digest} label={`Copy the digest of ${neutral(file.path)}`} />
                  <a
                    class="button quiet icon"
                    href={address(file.path)}
                    download={file.path.split("/").at(-1)}
                    aria-label={`Download ${neutral(file.path)}`}
                    title="Download"
                  >
                    <Icon name="download" />
                  </a>
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
      {files.length > FILES && <p class="inside muted">The first {grouped(FILES)} are shown.</p>}
      {absent.length > 0 && (
        <p class="inside muted">
          Nothing matched{" "}
          {absent.map((pattern, at) => (
            <span key={pattern}>
              {at > 0 && ", "}
              <Name text={pattern} />
            </span>
          ))}
          .
        </p>
      )}
      {dropped > 0 && (
        <p class="inside muted">
          {grouped(dropped)} more in /out: no pattern names them, so they were not kept.
        </p>
      )}
    </section>
  );
}

function Tests({ step, tests }: { step: Step; tests: NonNullable<Step["tests"]> }) {
  return (
    <section class="card" aria-label="Tests">
      <header>
        <h2>Tests</h2>
      </header>
      <div class="inside stack">
        <p>
          {grouped(tests.passed)} passed · {grouped(tests.failed)} failed · {grouped(tests.flaky)} flaky ·{" "}
          {grouped(tests.skipped)} skipped
        </p>
        <FailedTests step={step} />
      </div>
    </section>
  );
}

function Denials({ step }: { step: Step }) {
  const denials = step.denials ?? [];
  if (denials.length === 0) return null;
  return (
    <section class="card" aria-label="Denied">
      <header>
        <h2>Denied</h2>
      </header>
      <ul class="inside ci-failed">
        {denials.map(({ interface: name, wanted }, at) => (
          <li key={at}>
            <code>
              <Name text={name} />
            </code>{" "}
            {wanted && <GuestText text={wanted} />}
          </li>
        ))}
      </ul>
    </section>
  );
}

function Explanation({ run, step }: { run: Run; step: Step }) {
  // The reason is known once the step has its key.
  const load = useLoad(
    (signal) =>
      call("get", "/api/ci/runs/{run_id}/explanation", {
        path: { run_id: run.run_id },
        query: { step: step.id },
        signal,
      }),
    [run.run_id, step.id, step.outcome],
  );
  return (
    <section class="card" aria-label="Why">
      <header>
        <h2>{step.cached ? "Why it came from the cache" : "Why it ran"}</h2>
      </header>
      <div class="inside stack">
        <Loaded load={load} lines={2}>
          {({ note, changes, last_run: last }) => (
            <>
              {step.cached && (
                <p>
                  Nothing that it can see differs from run{" "}
                  <a href={paths.step(step.cached.from_run, step.id)}>
                    <Id id={step.cached.from_run} whole />
                  </a>
                  , so that result is its own.
                </p>
              )}
              {note && (
                <p>
                  <GuestText text={note} />
                </p>
              )}
              {changes.length > 0 && last && (
                <>
                  <p>
                    Since run{" "}
                    <a href={paths.step(last, step.id)}>
                      <Id id={last} whole />
                    </a>
                    :
                  </p>
                  <ul class="ci-failed">
                    {changes.map((change, at) => (
                      <li key={at}>
                        <GuestText text={change} />
                      </li>
                    ))}
                  </ul>
                </>
              )}
            </>
          )}
        </Loaded>
        <CommandLine command={`skep ci explain ${neutral(quoted(step.id))}`} />
      </div>
    </section>
  );
}

function Numbers({ step }: { step: Step }) {
  const { timing, stdout, stderr } = step;
  const stream = ({ bytes, kept }: Step["stdout"]) =>
    kept === bytes ? exactBytes(bytes) : `${exactBytes(bytes)}, of which ${exactBytes(kept)} kept`;
  const rows: [string, string | null][] = [
    ["Waited to start", exactMs(timing.queue_ms)],
    ["Trees and key", exactMs(timing.stage_ms)],
    ["Loaded its program", step.cached ? null : exactMs(timing.load_ms)],
    ["Compiled it", timing.compile_ms == null ? null : exactMs(timing.compile_ms)],
    ["Ran", step.cached ? null : exactMs(timing.run_ms)],
    ["On a CPU", step.cached ? null : exactMs(timing.cpu_ms)],
    ["Collected outputs", step.cached ? null : exactMs(timing.collect_ms)],
    ["Peak memory", exactBytes(step.memory_peak_bytes)],
    ["Fuel", step.fuel == null ? null : grouped(step.fuel)],
    ["Attempts", grouped(step.attempts)],
    ["Standard output", stream(stdout)],
    ["Standard error", stream(stderr)],
  ];
  const digests: [string, string | null][] = [
    ["Action", step.action],
    ["Inputs", step.input_root],
    ["Outputs", step.out.tree],
    ["Program", step.component],
  ];
  if (isLive(step.outcome)) return null;
  return (
    <section class="card" aria-label="Numbers">
      <header>
        <h2>Numbers</h2>
      </header>
      <dl class="facts inside">
        {rows.map(
          ([name, value]) =>
            value !== null && (
              <Fragment key={name}>
                <dt>{name}</dt>
                <dd>{value}</dd>
              </Fragment>
            ),
        )}
        {digests.map(
          ([name, value]) =>
            value && (
              <Fragment key={`digest ${name}`}>
                <dt>{name}</dt>
                <dd class="row">
                  <code class="ci-break">{value}</code>
                  <CopyButton text={value} label={`Copy the digest: ${name}`} />
                </dd>
              </Fragment>
            ),
        )}
      </dl>
    </section>
  );
}
