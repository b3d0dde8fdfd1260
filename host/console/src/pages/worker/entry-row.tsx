// One entry as a row, and the header of a turn.

import { Component } from "preact";
import type { Signal } from "@preact/signals";

import type { Entry } from "../../api/entry";
import type { Row, Turn } from "../../api/turns";
import { GuestText } from "../../parts/guest-text";
import { State } from "../../parts/state";
import { shortId } from "../../parts/name";
import { bytes as size, grouped } from "../../text/bytes";
import { guestText } from "../../text/guest";
import { absolute, duration } from "../../text/time";
import { KIND_LOOK, bodyLength, exitCodeOf, sentenceOf } from "./entry-text";

/** Bytes of a body in its row. Logs are shown longer: they are read as they stand. */
const PREVIEW_BYTES = 400;
const LOG_BYTES = 1600;

export interface RowContext {
  clock: "local" | "utc";
  /** Renders the details of an open entry. */
  details: (entry: Entry) => preact.ComponentChildren;
  /** The first number that is still kept, for the gap's words. */
  before: (seq: number) => number;
}

export interface EntryRowProps {
  row: Row;
  open: boolean;
  current: boolean;
  context: RowContext;
}

/** A row renders again only if its entry, its look or the clock changed. */
export class EntryRow extends Component<EntryRowProps> {
  override shouldComponentUpdate(next: EntryRowProps): boolean {
    const now = this.props;
    return (
      now.row !== next.row ||
      now.open !== next.open ||
      now.current !== next.current ||
      now.context !== next.context
    );
  }

  override render({ row, open, current, context }: EntryRowProps) {
    const { entry } = row;
    if (entry.kind === "gap") return <Gap entry={entry} from={context.before(entry.seq)} />;
    const isLog = entry.kind === "log";
    const names = [
      "entry",
      isLog ? "log" : (KIND_LOOK[entry.kind] ?? "life"),
      isLog && entry.label === "stderr" ? "stderr" : "",
      current ? "current" : "",
      row.waits ? "waits" : "",
    ].join(" ");
    return (
      <li class={names} data-seq={entry.seq}>
        <a class="seq" href={`#seq=${entry.seq}`}>
          {entry.seq}
        </a>
        <time dateTime={entry.at}>{absolute(Date.parse(entry.at), context.clock, "time")}</time>
        <button type="button" class="kind" aria-expanded={open}>
          {isLog ? (entry.label ?? "log") : entry.kind.replace("_", " ")}
        </button>
        {isLog ? (
          <Log entry={entry} />
        ) : (
          <div class="what">
            <What entry={entry} waits={row.waits} />
          </div>
        )}
        {open && <div class="entry-details">{context.details(entry)}</div>}
      </li>
    );
  }
}

/** A line of a log. Most are plain text, for which one element is enough: a thousand a second may
 * come. */
function Log({ entry }: { entry: Entry }) {
  const body = entry.body ?? "";
  const { runs, hiddenBytes } = guestText(body.endsWith("\n") ? body.slice(0, -1) : body, {
    bytes: LOG_BYTES,
  });
  const only = runs[0];
  if (
    runs.length <= 1 &&
    hiddenBytes === 0 &&
    !only?.classes &&
    !entry.truncated &&
    entry.body_base64 == null
  ) {
    return <bdi class="what guest">{only?.text ?? "\u00a0"}</bdi>;
  }
  return (
    <div class="what">
      {entry.body_base64 == null ? (
        <GuestText text={body.endsWith("\n") ? body.slice(0, -1) : body} most={LOG_BYTES} />
      ) : (
        <span class="muted">{size(bodyLength(entry))} that are no text</span>
      )}
      <Rest entry={entry} shown={LOG_BYTES} />
    </div>
  );
}

function What({ entry, waits }: { entry: Entry; waits: boolean }) {
  const sentence = sentenceOf(entry);
  const code = exitCodeOf(entry);
  const isNamed =
    entry.kind === "event" ||
    entry.kind === "failed" ||
    (entry.label && sentence === undefined && entry.kind !== "input");
  return (
    <>
      {waits && <span class="badge">waits for its turn</span>}
      {entry.outcome && entry.outcome !== "completed" && (
        <span class="badge bad">{entry.outcome.replace("_", " ")}</span>
      )}
      {isNamed && entry.label && (
        <span class="label">
          <GuestText text={entry.label} most={PREVIEW_BYTES} />
        </span>
      )}
      {code !== undefined && <span class={`badge ${code === 0 ? "good" : "warn"}`}>exit {code}</span>}
      {sentence !== undefined ? (
        <GuestText text={sentence} most={PREVIEW_BYTES * 2} />
      ) : entry.body_base64 != null ? (
        <span class="muted">
          {size(bodyLength(entry))} of <GuestText text={entry.content_type || "bytes"} most={100} />
        </span>
      ) : (
        <>
          <GuestText text={entry.body ?? ""} most={PREVIEW_BYTES} />
          <Rest entry={entry} shown={PREVIEW_BYTES} />
        </>
      )}
    </>
  );
}

/** Tells that there is more than the row shows; pressing it opens the details. */
function Rest({ entry, shown }: { entry: Entry; shown: number }) {
  const hidden = bodyLength(entry) - shown;
  return (
    <>
      {entry.truncated && <span class="badge warn">cut by its limit</span>}
      {hidden > 0 && (
        <button type="button" class="rest">
          {size(hidden)} more
        </button>
      )}
    </>
  );
}

function Gap({ entry, from }: { entry: Entry; from: number }) {
  return (
    <li class="entry gap" data-seq={entry.seq}>
      <span>
        {from < entry.seq
          ? `${grouped(from)}–${grouped(entry.seq)} were trimmed`
          : `${grouped(entry.seq)} was trimmed`}
      </span>
      <span class="muted">The transcript reached its limit; the oldest entries go first.</span>
    </li>
  );
}

const ENDINGS = {
  completed: { word: "Completed", tone: "good", shape: "tick" },
  failed: { word: "Failed", tone: "bad", shape: "cross" },
  trapped: { word: "Trapped", tone: "bad", shape: "cross" },
  deadline: { word: "Deadline", tone: "bad", shape: "cross" },
  limit: { word: "Limit", tone: "bad", shape: "cross" },
  cancelled: { word: "Cancelled", tone: "off", shape: "square" },
  host_fault: { word: "Host fault", tone: "bad", shape: "triangle" },
} as const;

/** How a turn ended, as a word with a shape. */
export function EndingState({ ending }: { ending: string }) {
  const known = ENDINGS[ending as keyof typeof ENDINGS] as (typeof ENDINGS)[keyof typeof ENDINGS] | undefined;
  return known ? <State {...known} /> : <State word={ending} tone="off" shape="half" />;
}

export interface TurnHeaderProps {
  turn: Signal<Turn>;
  /** Shows only this turn, or all again. */
  only: ((inputId: string) => void) | undefined;
}

/** The header above a turn's rows. It changes when the outcome comes. */
export function TurnHeader({ turn, only }: TurnHeaderProps) {
  const { inputId, input, firstAt, ending, endedAt, denials } = turn.value;
  const began = input?.at ?? firstAt;
  const ms = began !== undefined && endedAt !== undefined ? Date.parse(endedAt) - Date.parse(began) : NaN;
  return (
    <li class="turn">
      <span class="turn-state">
        {ending ? <EndingState ending={ending} /> : <State word="Turn" tone="busy" shape="half" />}
      </span>
      <code title={inputId}>{shortId(inputId)}</code>
      {Number.isFinite(ms) && (
        <span class="muted">
          {input ? "" : "at least "}
          {duration(ms)}
        </span>
      )}
      {denials > 0 && <span class="badge warn">{denials === 1 ? "1 denial" : `${denials} denials`}</span>}
      {only && (
        <button type="button" class="only" onClick={() => only(inputId)}>
          Only this turn
        </button>
      )}
    </li>
  );
}
