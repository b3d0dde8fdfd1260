// The comparison of a replayed turn with another turn that handled the same input.

import type { components } from "../api/schema";

type Entry = components["schemas"]["Entry"];

/** Bytes as the API carries them. */
export interface Body {
  contentType: string;
  text: string | null;
  base64: string | null;
}

/** One turn, put together from its entries. */
export interface Turn {
  inputId: string;
  input: Body | null;
  /** Null while the turn has not ended. */
  outcome: string | null;
  /** The output, or the error's JSON. */
  output: Body | null;
  events: Line[];
  logs: Line[];
  denials: Line[];
  /** Milliseconds of the turn, if known. */
  ms: number | null;
  /** True if a part was cut before it was stored. */
  truncated: boolean;
}

export interface Line {
  label: string;
  text: string;
}

const MOST_LINES = 10_000;

export function bodyOf(entry: Entry): Body {
  return {
    contentType: entry.content_type,
    text: entry.body ?? (entry.body_base64 == null ? "" : null),
    base64: entry.body_base64 ?? null,
  };
}

/** Builds a turn from the entries that carry its input id, in ascending order of seq. */
export function turnOf(inputId: string, entries: readonly Entry[], ms: number | null): Turn {
  const turn: Turn = {
    inputId,
    input: null,
    outcome: null,
    output: null,
    events: [],
    logs: [],
    denials: [],
    ms,
    truncated: false,
  };
  for (const entry of entries) {
    if (entry.truncated) turn.truncated = true;
    const body = bodyOf(entry);
    const line = { label: entry.label ?? "", text: body.text ?? body.base64 ?? "" };
    switch (entry.kind) {
      case "input":
        turn.input = body;
        break;
      case "event":
        push(turn.events, line);
        break;
      case "log":
        push(turn.logs, line);
        break;
      case "denied":
        push(turn.denials, { label: line.label, text: wantedOf(line.text) });
        break;
      case "output":
        turn.output = body;
        turn.outcome = "completed";
        break;
      case "failure":
        turn.output = body;
        turn.outcome = entry.outcome ?? "failed";
        break;
      default:
    }
  }
  return turn;
}

function push(lines: Line[], line: Line): void {
  if (lines.length < MOST_LINES) lines.push(line);
}

/** The denied access; without one, the text as it is. */
function wantedOf(text: string): string {
  try {
    const { wanted } = JSON.parse(text) as { wanted?: unknown };
    return typeof wanted === "string" ? wanted : "";
  } catch {
    return text;
  }
}

export interface Comparison {
  outcome: boolean;
  output: boolean;
  events: boolean;
  logs: boolean;
  denials: boolean;
  /** All but the logs, which hold times and ids in most programs. */
  same: boolean;
}

/** Compares two turns part by part; true means the same. */
export function compareTurns(one: Turn, other: Turn): Comparison {
  const outcome = one.outcome === other.outcome;
  const output = sameBody(one.output, other.output);
  const events = sameLines(one.events, other.events);
  const logs = sameLines(one.logs, other.logs);
  const denials = sameLines(one.denials, other.denials);
  return { outcome, output, events, logs, denials, same: outcome && output && events && denials };
}

function sameBody(one: Body | null, other: Body | null): boolean {
  if (one === null || other === null) return one === other;
  return (
    one.contentType === other.contentType && one.text === other.text && one.base64 === other.base64
  );
}

function sameLines(one: readonly Line[], other: readonly Line[]): boolean {
  return (
    one.length === other.length &&
    one.every((line, place) => line.label === other[place]?.label && line.text === other[place].text)
  );
}

/** Why a replay differs, as far as the three turns tell. */
export type Verdict =
  /** The new component does what the original turn did. */
  | "same"
  /** It differs from the original, as the present component does: the state has moved on, or a grant is missing. */
  | "same_as_present"
  /** It differs from the present component in the same situation. */
  | "changed"
  /** It differs from the original, and there is no replay with the present component. */
  | "differs"
  | "unfinished";

/** Judges the new component's turn. `present` is the replay with the present component. */
export function verdict(original: Turn, next: Turn, present: Turn | null): Verdict {
  if (next.outcome === null || (present && present.outcome === null)) return "unfinished";
  if (present) {
    if (!compareTurns(present, next).same) return "changed";
    return compareTurns(original, next).same ? "same" : "same_as_present";
  }
  return compareTurns(original, next).same ? "same" : "differs";
}

/** One line over all verdicts. */
export function summary(verdicts: readonly Verdict[]): string {
  const count = (...of: Verdict[]) => verdicts.filter((one) => of.includes(one)).length;
  if (verdicts.length === 0) return "No input to replay.";
  const unfinished = count("unfinished");
  const done = verdicts.length - unfinished;
  const changed = count("changed", "differs");
  const parts: string[] = [];
  if (done) parts.push(changed ? `${String(changed)} of ${String(done)} differ` : `None of ${String(done)} differs`);
  const moved = count("same_as_present");
  if (moved) parts.push(`${String(moved)} differ from the past, also with the present component`);
  if (unfinished) parts.push(`${String(unfinished)} not finished`);
  return `${parts.join("; ")}.`;
}
