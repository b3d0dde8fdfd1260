// Runs and steps in words: states, times, and the commands that say more.

import type { Schemas } from "../../api/client";
import { State } from "../../parts/state";
import { now } from "../../parts/time";
import { grouped } from "../../text/bytes";
import { duration } from "../../text/time";

export type Run = Schemas["RunResult"];
export type Step = Schemas["StepResult"];

const ENDS: Record<Step["outcome"], string> = {
  exited: "Exited",
  trapped: "Crashed",
  deadline: "Past its deadline",
  limit: "Past a limit",
  cancelled: "Cancelled",
  refused: "Refused",
  host_fault: "Host failed",
  skipped: "Skipped",
  not_reproducible: "Not reproducible",
  waiting: "Waiting",
  running: "Running",
};

export function RunState({ outcome }: { outcome: Run["outcome"] }) {
  switch (outcome) {
    case "passed":
      return <State word="Passed" tone="good" shape="tick" />;
    case "failed":
      return <State word="Failed" tone="bad" shape="cross" />;
    case "cancelled":
      return <State word="Cancelled" tone="off" shape="square" />;
    case "running":
      return <State word="Running" tone="busy" shape="turning" />;
    case "interrupted":
      return <State word="Interrupted" tone="warn" shape="half" />;
  }
}

export function StepState({ step }: { step: Step }) {
  const { outcome } = step;
  if (outcome === "waiting") return <State word="Waiting" tone="idle" shape="ring" />;
  if (outcome === "running") return <State word="Running" tone="busy" shape="turning" />;
  if (outcome === "skipped" || outcome === "cancelled") {
    return <State word={ENDS[outcome]} tone="off" shape="square" />;
  }
  if (step.as_expected) {
    if (step.cached) return <State word="Cached" tone="good" shape="dot" />;
    const usual = outcome === "exited" && step.exit_code === 0;
    return <State word={usual ? "Passed" : `${end(step)}, as expected`} tone="good" shape="tick" />;
  }
  if (step.allowed_to_fail) {
    return <State word={`${end(step)}, allowed`} tone="warn" shape="triangle" />;
  }
  const tests = outcome === "exited" && step.exit_code === 0;
  return <State word={tests ? "Failed" : end(step)} tone="bad" shape="cross" />;
}

/** The end of a step in words: `Exited 1`. */
export function end(step: Step): string {
  const code = step.outcome === "exited" && step.exit_code !== null ? ` ${step.exit_code}` : "";
  return ENDS[step.outcome] + code;
}

/** True while a step or run may still change. */
export function isLive(outcome: Step["outcome"] | Run["outcome"] | undefined): boolean {
  return outcome === "running" || outcome === "waiting";
}

/** True if a step failed, and its run with it. One that was stopped did not fail. */
export function failsRun(step: Step): boolean {
  const ended = !isLive(step.outcome) && step.outcome !== "skipped" && step.outcome !== "cancelled";
  return ended && !step.as_expected && !step.allowed_to_fail;
}

/** The level of each step: one more than the highest of those that it needs. */
export function levels(steps: readonly Step[]): Map<string, number> {
  const all = new Map<string, number>();
  // Each step stands after those that it needs.
  for (const step of steps) {
    const before = (step.needs ?? []).map((need) => all.get(need) ?? 0);
    all.set(step.id, Math.max(0, ...before) + 1);
  }
  return all;
}

/** The time of a run so far. Its record is written only when something changes. */
export function Took({ run }: { run: Pick<Run, "outcome" | "started_at_ms" | "wall_ms"> }) {
  const running = run.outcome === "running";
  // Only a running one follows the clock.
  const ms = running ? Math.max(run.wall_ms, now.value - run.started_at_ms) : run.wall_ms;
  return <>{duration(running ? Math.floor(ms / 1_000) * 1_000 : ms)}</>;
}

/** Writes milliseconds with all digits that there are: `1,234.567 ms`. */
export function exactMs(ms: number): string {
  const [whole = "0", part] = String(Math.round(ms * 1_000) / 1_000).split(".");
  return `${grouped(Number(whole))}${part ? `.${part}` : ""} ms`;
}

/** Writes a word as a shell reads it back. */
export function quoted(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}
