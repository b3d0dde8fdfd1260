// What failed in a run: the reason of each step, and its first failed tests.

import { GuestText } from "../../parts/guest-text";
import { Name } from "../../parts/name";
import { paths } from "../../router";
import { grouped } from "../../text/bytes";
import { type Run, type Step, failsRun } from "./words";

/** Failed steps that are told in full. */
const MOST = 10;

export function Failures({ run }: { run: Run }) {
  const failed = run.steps.filter(failsRun);
  if (failed.length === 0) return null;
  return (
    <section class="card" aria-label="What failed">
      <header>
        <h2>What failed</h2>
      </header>
      <ul class="inside ci-failed">
        {failed.slice(0, MOST).map((step) => (
          <li key={step.id}>
            <a href={paths.step(run.run_id, step.id)}>
              <Name text={step.id} />
            </a>
            : <GuestText text={step.message ?? "failed"} />
            <FailedTests step={step} />
          </li>
        ))}
      </ul>
      {failed.length > MOST && (
        <p class="inside muted">{grouped(failed.length - MOST)} more are in the list of steps.</p>
      )}
    </section>
  );
}

/** The first failed tests of a step's report. */
export function FailedTests({ step }: { step: Step }) {
  const failures = step.tests?.failures ?? [];
  if (failures.length === 0) return null;
  const left = (step.tests?.failed ?? 0) - failures.length;
  return (
    <ul class="ci-tests">
      {failures.map((test, at) => (
        <li key={at}>
          <code>
            <GuestText text={test.name} />
          </code>
          {test.file && (
            <span class="muted small">
              {" "}
              <Name text={test.file} />
              {test.line != null && `:${test.line}`}
            </span>
          )}
          {test.message && (
            <div>
              <GuestText text={test.message} />
            </div>
          )}
        </li>
      ))}
      {left > 0 && <li class="muted">and {grouped(left)} more, in its report</li>}
    </ul>
  );
}
