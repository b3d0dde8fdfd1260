// The worker's durable, append-only record.
import * as host from "#host";
import { TranscriptError } from "./failure.js";
import { BYTES, JSON_TYPE, TEXT, isBytes, toBytes, toJson, toText } from "./bytes.js";

const MESSAGES = {
  "too-large": (limit) => `the event is longer than ${limit} bytes`,
  "too-many": (limit) => `this turn has emitted its ${limit} events`,
  "invalid-kind": () => "the event's kind is not 1 to 64 characters of a-z, 0-9, -, _ and .",
  unavailable: (doing) => `the transcript is unavailable: ${doing}`,
};

function call(run) {
  try {
    return run();
  } catch (error) {
    const { tag, val } = error?.payload ?? error ?? {};
    if (!(tag in MESSAGES)) throw error;
    throw new TranscriptError(`transcript-${tag}`, MESSAGES[tag](val));
  }
}

/** One entry of the record. */
export class Entry {
  constructor(raw) {
    this.seq = Number(raw.seq);
    this.at = new Date(Number(raw.atMs));
    this.kind = raw.kind;
    this.event = raw.event ?? undefined;
    this.inputId = raw.inputId ?? undefined;
    this.contentType = raw.contentType;
    this.body = raw.body;
  }

  /** Returns the body as text. */
  text() {
    return toText(this.body);
  }

  /** Returns the body's JSON value. */
  json() {
    return JSON.parse(this.text());
  }
}

/** Returns the media type and bytes of an event: text, bytes, or a value as JSON. */
function eventBody(body, contentType) {
  if (typeof body === "string") return [contentType ?? TEXT, toBytes(body)];
  if (isBytes(body)) return [contentType ?? BYTES, toBytes(body)];
  return [contentType ?? JSON_TYPE, toBytes(toJson(body, "the event's body"))];
}

export const transcript = {
  /** Appends an event of this turn. A turn that fails later keeps its events. */
  emit(kind, body = "", contentType = undefined) {
    const [type, bytes] = eventBody(body, contentType);
    call(() => host.transcript.emit(String(kind), type, bytes));
  },

  /** Reads this worker's entries after a position, at most `limit` and never more than 1,000. */
  read(after = 0, limit = 1000) {
    const page = call(() => host.transcript.read(after, limit));
    const next = page.next ?? undefined;
    return { entries: Array.from(page.entries, (raw) => new Entry(raw)), next: next === undefined ? undefined : Number(next) };
  },
};
