// Runs of pipelines: the list of them, one run, or one step of it. Only `skep ci run` makes runs;
// this page shows what they leave on the host's machine.

import { RunPage } from "./ci/run";
import { RunsPage } from "./ci/runs";
import { StepPage } from "./ci/step";
import type { PageProps } from "../shell/pages";
import "../parts/plain-table.css";
import "../parts/body.css";
import "./ci.css";

export default function CiPage({ route }: PageProps<"ci">) {
  const { run, step } = route;
  if (run === null) return <RunsPage />;
  if (step === null) return <RunPage key={run} run={run} />;
  return <StepPage key={`${run}/${step}`} run={run} step={step} />;
}
