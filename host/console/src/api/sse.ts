// A parser of server-sent events, over the text of a stream in pieces of any size.

export interface ServerEvent {
  /** The id to resume after; empty if the stream has had none. */
  id: string;
  name: string;
  data: string;
}

/** Longest line that is kept, in UTF-16 units. A longer one is not from our host. */
const LINE_UNITS = 32 << 20;

/** Turns pieces of text into events. It handles LF and CRLF, which is what servers send. */
export class EventParser {
  #rest = "";
  #id = "";
  #name = "";
  #data: string[] = [];

  /** Reads a piece and returns the events that it completes. */
  push(piece: string): ServerEvent[] {
    const events: ServerEvent[] = [];
    const text = this.#rest + piece;
    let start = 0;
    for (;;) {
      const end = text.indexOf("\n", start);
      if (end < 0) break;
      const line = text.slice(start, text[end - 1] === "\r" ? end - 1 : end);
      start = end + 1;
      const event = this.#line(line);
      if (event) events.push(event);
    }
    this.#rest = text.slice(start);
    if (this.#rest.length > LINE_UNITS) throw new Error("an event's line is too long");
    return events;
  }

  #line(line: string): ServerEvent | null {
    if (line === "") {
      const event = { id: this.#id, name: this.#name || "message", data: this.#data.join("\n") };
      const empty = this.#data.length === 0;
      this.#name = "";
      this.#data = [];
      return empty ? null : event;
    }
    const colon = line.indexOf(":");
    if (colon === 0) return null;
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (field === "data") this.#data.push(value);
    else if (field === "event") this.#name = value;
    else if (field === "id") this.#id = value;
    return null;
  }
}
