// The workers by state: one bar, and the counts as links to the table.

import type { Counts, StateName } from "../../api/workers";
import { STATES } from "../../api/workers";
import { Name } from "../../parts/name";
import { State, type Shape } from "../../parts/state";
import { hashText, paths } from "../../router";
import { grouped } from "../../text/bytes";

const LOOKS: Record<StateName, { word: string; shape: Shape; tone: "idle" | "busy" | "good" | "bad" | "off" }> = {
  idle: { word: "Idle", shape: "ring", tone: "idle" },
  busy: { word: "Busy", shape: "turning", tone: "busy" },
  exited: { word: "Exited", shape: "tick", tone: "good" },
  failed: { word: "Failed", shape: "cross", tone: "bad" },
  stopped: { word: "Stopped", shape: "square", tone: "off" },
};

interface Props {
  counts: Counts | null;
  /** Names of runtimes whose workers are not counted. */
  without: readonly string[];
}

export function StateBar({ counts, without }: Props) {
  if (!counts) return null;
  return (
    <section class="card state-card" aria-label="Workers by state">
      <a class="figure total" href={paths.workers()}>
        <span class="value">{grouped(counts.total)}</span>
        <span class="muted">{counts.total === 1 ? "worker" : "workers"}</span>
      </a>
      {STATES.map((state) => (
        <a key={state} class="figure" href={`${paths.workers()}${hashText({ state })}`}>
          <span class="value">{grouped(counts[state])}</span>
          <State {...LOOKS[state]} />
        </a>
      ))}
      <div class="bar" aria-hidden="true">
        {STATES.filter((state) => counts[state] > 0).map((state) => (
          <i key={state} class={state} style={{ flexGrow: String(counts[state]) }} />
        ))}
      </div>
      {without.length > 0 && (
        <p class="muted small without">
          Without the workers of <Name text={without.join(", ")} />, which {without.length > 1 ? "do" : "does"} not
          answer.
        </p>
      )}
    </section>
  );
}
