// The replayed turns beside the turns they are compared with.

import { useSignal } from "@preact/signals";

import { Segments } from "../../parts/field";
import { Icon } from "../../parts/icon";
import { State } from "../../parts/state";
import { guestText, neutral } from "../../text/guest";
import { pretty, tryJson } from "../../text/json";
import { compareLines, type SideLine } from "../../text/lines-diff";
import { duration } from "../../text/time";
import {
  type Body,
  type Line,
  type Turn,
  type Verdict,
  compareTurns,
  summary,
  verdict,
} from "../replay";
import type { Row } from "../replay-run";

type Against = "present" | "original";

export function Results({ rows, stopped }: { rows: readonly Row[]; stopped: boolean }) {
  const both = rows.some((row) => row.present !== null);
  const against = useSignal<Against>(both ? "present" : "original");
  const verdicts = rows.map((row) => verdictOf(row));
  const changed = verdicts.filter((one) => one === "changed" || one === "differs").length;
  // The first difference is what a person looks for.
  const first = verdicts.findIndex((one) => one === "changed" || one === "differs");
  return (
    <>
      <div class="row wrap">
        <strong class={`state ${changed ? "warn" : "good"}`}>
          <Icon name={changed ? "warn" : "check"} /> {summary(verdicts)}
        </strong>
        {stopped && <span class="muted">Stopped before the end.</span>}
        <span class="grow" />
        {both && (
          <Segments
            label="Compare with"
            value={against.value}
            options={[
              { value: "present", words: "Present component" },
              { value: "original", words: "Original turns" },
            ]}
            onChange={(value) => (against.value = value)}
          />
        )}
      </div>
      <ol class="replay-rows">
        {rows.map((row, at) => (
          <ReplayRow
            key={row.original.inputId}
            row={row}
            verdict={verdicts[at] ?? "unfinished"}
            against={against.value}
            open={at === first}
          />
        ))}
      </ol>
    </>
  );
}

function verdictOf({ original, next, present }: Row): Verdict {
  return next === null ? "unfinished" : verdict(original, next, present);
}

function VerdictView({ verdict }: { verdict: Verdict }) {
  switch (verdict) {
    case "same":
      return <State word="Same" tone="good" shape="tick" />;
    case "same_as_present":
      return <State word="State moved on" tone="idle" shape="ring" />;
    case "changed":
    case "differs":
      return <State word="Differs" tone="warn" shape="triangle" />;
    case "unfinished":
      return <State word="Not replayed" tone="off" shape="square" />;
  }
}

interface RowProps {
  row: Row;
  verdict: Verdict;
  against: Against;
  open: boolean;
}

function ReplayRow({ row, verdict, against, open }: RowProps) {
  const { original, next, present } = row;
  const base = against === "present" && present ? present : original;
  const differs = next ? compareTurns(base, next) : null;
  return (
    <li>
      <details open={open}>
        <summary>
          <VerdictView verdict={verdict} />
          <bdi class="mono clip grow">{brief(original.input)}</bdi>
          {next && (
            <span class="muted">
              {next.outcome ?? "running"} · {times(base, next)}
            </span>
          )}
        </summary>
        {verdict === "same_as_present" && (
          <p class="muted note">
            Not what it was at the time, but the present component now does the same: the worker's
            state has moved on since, or the scratch worker lacks a grant.
          </p>
        )}
        {original.input === null && (
          <p class="muted note">The input was cut when it was stored, so it cannot be replayed.</p>
        )}
        {next && differs && (
          <div class="compared">
            <div class="column-names muted small" aria-hidden="true">
              <span>{base === original ? "Original" : "Present component"}</span>
              <span>New component</span>
            </div>
            <Part name="Outcome" same={differs.outcome} left={base.outcome ?? ""} right={next.outcome ?? ""} />
            <Part name="Output" same={differs.output} left={bodyText(base.output)} right={bodyText(next.output)} />
            <Part name="Events" same={differs.events} left={linesText(base.events)} right={linesText(next.events)} />
            <Part name="Denials" same={differs.denials} left={linesText(base.denials)} right={linesText(next.denials)} />
            <Part name="Log" same={differs.logs} left={linesText(base.logs)} right={linesText(next.logs)} quiet />
          </div>
        )}
      </details>
    </li>
  );
}

function times(base: Turn, next: Turn): string {
  const text = (turn: Turn) => (turn.ms === null ? "–" : duration(turn.ms, 1));
  return `${text(base)} → ${text(next)}`;
}

interface PartProps {
  name: string;
  same: boolean;
  left: string;
  right: string;
  /** A part whose differences do not count. */
  quiet?: boolean;
}

/** One part of two turns. Parts that both lack are left out. */
function Part({ name, same, left, right, quiet }: PartProps) {
  if (left === "" && right === "") return null;
  const sides = compareLines(left, right);
  return (
    <section class="part">
      <h3>
        {name}
        {!same && (
          <>
            {" "}
            <span class={quiet ? "muted" : "state warn"}>differs</span>
          </>
        )}
      </h3>
      <div class="sides">
        <Side label={`${name} before`} lines={sides.left} mark="removed" />
        <Side label={`${name} with the new component`} lines={sides.right} mark="added" />
      </div>
    </section>
  );
}

/** Lines shown of one part. The whole is in the worker's transcript. */
const MOST_LINES = 200;

function Side({ label, lines, mark }: { label: string; lines: SideLine[]; mark: "added" | "removed" }) {
  return (
    <pre tabIndex={0} aria-label={label}>
      {lines.length === 0 && <span class="muted">none</span>}
      {lines.slice(0, MOST_LINES).map((line, at) => (
        <span key={at} class={line.changed ? `line ${mark}` : "line"}>
          <bdi>{shown(line.text)}</bdi>
          {"\n"}
        </span>
      ))}
      {lines.length > MOST_LINES && <span class="muted">{lines.length - MOST_LINES} more lines</span>}
    </pre>
  );
}

/** A line of guest text without colours, cut as everywhere. */
function shown(text: string): string {
  const { runs, hiddenBytes } = guestText(text);
  return runs.map((run) => run.text).join("") + (hiddenBytes ? "…" : "");
}

function bodyText(body: Body | null): string {
  if (!body) return "";
  if (body.text === null) return `bytes in base64: ${body.base64 ?? ""}`;
  const json = tryJson(body.text);
  return json ? pretty(json) : body.text;
}

function linesText(lines: readonly Line[]): string {
  return lines.map(({ label, text }) => (label ? `${label}  ${text}` : text)).join("\n");
}

function brief(body: Body | null): string {
  if (!body) return "input not known whole";
  const text = body.text ?? `bytes in base64: ${body.base64 ?? ""}`;
  return text === "" ? "empty input" : neutral(text.slice(0, 200));
}
