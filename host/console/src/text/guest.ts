// Guest text as runs of plain text. Guest text is untrusted: it may hold terminal commands, markup
// and characters that reorder a line. Nothing here makes markup, links or styles from it; a page
// shows each run as a text node. Control and bidi characters become visible escapes, SGR colours
// become one of sixteen class names, and the rest of a long text is cut.

/** A piece of text with one appearance. */
export interface TextRun {
  readonly text: string;
  /** Class names: `esc` for an escape, `sgr-0`…`sgr-15` for a colour, `sgr-bold`; or empty. */
  readonly classes: string;
}

/** The part of a text that is shown. */
export interface GuestText {
  readonly runs: readonly TextRun[];
  /** UTF-8 bytes that are not shown. 0 if the text is whole. */
  readonly hiddenBytes: number;
}

/** Bytes of one text that are shown at first. A line of 1 MB takes a browser seconds to lay out. */
export const SHOWN_BYTES = 4096;

/** Runs of one text at most; colour changes in each character would make thousands of elements. */
const SHOWN_RUNS = 512;

/** True for a code point that must not reach a page as itself. */
export function isUnsafe(code: number): boolean {
  return (
    code < 0x20 ||
    (code >= 0x7f && code <= 0x9f) ||
    // Soft hyphen, and marks that reorder text.
    code === 0xad ||
    code === 0x61c ||
    code === 0x180e ||
    // Zero width space; joiners (U+200C, U+200D) stay, since scripts and emoji need them.
    code === 0x200b ||
    code === 0x200e ||
    code === 0x200f ||
    (code >= 0x2028 && code <= 0x202e) ||
    (code >= 0x2060 && code <= 0x206f) ||
    (code >= 0xd800 && code <= 0xdfff) ||
    code === 0xfeff ||
    (code >= 0xfff9 && code <= 0xfffb) ||
    // Tags: invisible copies of ASCII.
    (code >= 0xe0000 && code <= 0xe007f)
  );
}

// The same set, to find out at native speed that a text has none of them. Without the `u` flag a
// pair of surrogates matches too; the slow path then finds that it is an ordinary character.
const SUSPECT =
  // eslint-disable-next-line no-control-regex, no-misleading-character-class
  /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff\ufeff\ufff9-\ufffb]/;

/** Writes a character as an escape, in the spelling of Rust: `\n`, `\u{1b}`. */
export function escapeOf(code: number): string {
  switch (code) {
    case 0x09:
      return "\\t";
    case 0x0a:
      return "\\n";
    case 0x0d:
      return "\\r";
    default:
      return `\\u{${code.toString(16)}}`;
  }
}

/** Writes text on one line with each unsafe character escaped, for titles and attributes. */
export function neutral(text: string): string {
  if (!SUSPECT.test(text)) return text;
  let out = "";
  for (const character of text) {
    const code = character.codePointAt(0)!;
    out += isUnsafe(code) ? escapeOf(code) : character;
  }
  return out;
}

/** Counts UTF-8 bytes. A lone surrogate counts as the replacement character. */
export function utf8Bytes(text: string): number {
  let bytes = text.length;
  for (let at = 0; at < text.length; at += 1) {
    const unit = text.charCodeAt(at);
    if (unit < 0x80) continue;
    if (unit < 0x800) bytes += 1;
    else if (isPairAt(text, at)) {
      bytes += 2;
      at += 1;
    } else bytes += 2;
  }
  return bytes;
}

function isPairAt(text: string, at: number): boolean {
  const high = text.charCodeAt(at);
  const low = text.charCodeAt(at + 1);
  return high >= 0xd800 && high <= 0xdbff && low >= 0xdc00 && low <= 0xdfff;
}

/** Returns the length of the longest prefix of at most this many UTF-8 bytes, in UTF-16 units. */
function prefixOf(text: string, bytes: number): number {
  // Each unit is at most three bytes.
  if (text.length * 3 <= bytes) return text.length;
  let left = bytes;
  let at = 0;
  while (at < text.length) {
    const unit = text.charCodeAt(at);
    const pair = isPairAt(text, at);
    const cost = unit < 0x80 ? 1 : unit < 0x800 ? 2 : pair ? 4 : 3;
    if (cost > left) break;
    left -= cost;
    at += pair ? 2 : 1;
  }
  return at;
}

/** How a text is shown. */
export interface Shown {
  /** Bytes to show, `SHOWN_BYTES` by default; `Infinity` for all. */
  readonly bytes?: number;
  /** True to keep line feeds and tabs, for bodies of several lines. */
  readonly lines?: boolean;
}

/** Turns guest text into runs. Its cost is bounded by the shown bytes, save for counting the rest. */
export function guestText(text: string, shown: Shown = {}): GuestText {
  const end = prefixOf(text, shown.bytes ?? SHOWN_BYTES);
  const visible = end === text.length ? text : text.slice(0, end);
  const hidden = end === text.length ? 0 : utf8Bytes(text.slice(end));
  if (visible === "") return { runs: [], hiddenBytes: hidden };
  if (!SUSPECT.test(visible)) {
    return { runs: [{ text: visible, classes: "" }], hiddenBytes: hidden };
  }
  const reader = new RunReader(visible, shown.lines ?? false, shown.bytes === Infinity);
  return { runs: reader.runs, hiddenBytes: hidden + reader.unread };
}

class RunReader {
  readonly runs: TextRun[] = [];
  /** UTF-8 bytes left when there were too many runs. */
  unread = 0;
  private colour = -1;
  private bold = false;
  private plain = "";

  constructor(text: string, lines: boolean, all: boolean) {
    let at = 0;
    while (at < text.length) {
      if (this.runs.length >= SHOWN_RUNS && !all) {
        this.unread = utf8Bytes(text.slice(at));
        break;
      }
      const code = text.codePointAt(at)!;
      if (code === 0x1b || code === 0x9b) {
        const length = this.sgr(text, at, code);
        if (length > 0) {
          at += length;
          continue;
        }
      }
      const isKept = !isUnsafe(code) || (lines && (code === 0x0a || code === 0x09));
      if (isKept) this.plain += String.fromCodePoint(code);
      else this.escape(escapeOf(code));
      at += code > 0xffff ? 2 : 1;
    }
    this.flush();
  }

  private flush(): void {
    if (this.plain === "") return;
    const colour = this.colour < 0 ? "" : `sgr-${this.colour}`;
    const bold = this.bold ? "sgr-bold" : "";
    this.runs.push({ text: this.plain, classes: colour && bold ? `${colour} ${bold}` : colour || bold });
    this.plain = "";
  }

  private escape(text: string): void {
    this.flush();
    const last = this.runs.at(-1);
    // Neighbours share an element, so a text of controls alone does not become thousands of them.
    if (last?.classes === "esc") {
      this.runs[this.runs.length - 1] = { text: last.text + text, classes: "esc" };
    } else this.runs.push({ text, classes: "esc" });
  }

  /** Reads an SGR sequence and returns its length; 0 if this is another sequence, shown escaped. */
  private sgr(text: string, at: number, code: number): number {
    const from = code === 0x9b ? at + 1 : at + 2;
    if (code === 0x1b && text.charCodeAt(at + 1) !== 0x5b) return 0;
    // 64 characters hold the longest sequence in use; a longer one is not worth a scan.
    const match = /^[0-9;:]{0,64}m/.exec(text.slice(from, from + 65));
    if (match === null) return 0;
    this.flush();
    this.apply(match[0].slice(0, -1).split(/[;:]/).map(Number));
    return from - at + match[0].length;
  }

  private apply(codes: number[]): void {
    for (let at = 0; at < codes.length; at += 1) {
      const code = codes[at]!;
      if (code === 0) {
        this.colour = -1;
        this.bold = false;
      } else if (code === 1) this.bold = true;
      else if (code === 22) this.bold = false;
      else if (code >= 30 && code <= 37) this.colour = code - 30;
      else if (code >= 90 && code <= 97) this.colour = code - 90 + 8;
      else if (code === 39) this.colour = -1;
      else if (code === 38 || code === 48) {
        // Backgrounds are read and dropped: text in the colour of its background would be hidden.
        const isIndexed = codes[at + 1] === 5;
        const colour = isIndexed
          ? indexed(codes[at + 2] ?? 0)
          : nearest(codes[at + 2] ?? 0, codes[at + 3] ?? 0, codes[at + 4] ?? 0);
        if (code === 38) this.colour = colour;
        at += isIndexed ? 2 : 4;
      }
    }
  }
}

/** Returns the one of sixteen colours that is nearest to one of 256. */
function indexed(code: number): number {
  if (code < 16) return code;
  if (code >= 232) {
    const grey = (code - 232) * 10 + 8;
    return nearest(grey, grey, grey);
  }
  const cube = code - 16;
  const level = (digit: number) => (digit === 0 ? 0 : digit * 40 + 55);
  return nearest(level(Math.floor(cube / 36)), level(Math.floor(cube / 6) % 6), level(cube % 6));
}

function nearest(red: number, green: number, blue: number): number {
  const most = Math.max(red, green, blue);
  const least = Math.min(red, green, blue);
  if (most - least < 32) return most < 64 ? 0 : most < 128 ? 8 : most < 208 ? 7 : 15;
  const middle = (most + least) / 2;
  const bits = (red > middle ? 1 : 0) | (green > middle ? 2 : 0) | (blue > middle ? 4 : 0);
  return bits + (most > 208 ? 8 : 0);
}
