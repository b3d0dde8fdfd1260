// The author's lines. The build keeps, for each line of the bundle, the file and line that it was
// made from; this module maps the frames of a stack with it.

const DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const FRAME = /^ *at (?:(.*?) \()?([^()\n]*?):(\d+):(\d+)\)?$/;

/** The table of one bundle. Its lines are read at the first error. */
export class Lines {
  #table;
  #rows;

  /**
   * `file` is the name of the bundle in stacks, `base` the number of lines before it, `sources`
   * the names of the author's files, `lines` the encoded table.
   */
  constructor({ file, base, sources, lines }) {
    this.#table = { file, base, sources, lines };
  }

  /** Returns the author's file and line for a place in the bundle, or `undefined`. */
  find(file, line, column) {
    const { base, sources } = this.#table;
    if (file !== this.#table.file || line <= base) return undefined;
    this.#rows ??= decode(this.#table.lines);
    const row = this.#rows[line - base - 1];
    let best;
    for (const place of row ?? []) {
      if (place.column > column - 1 && best) break;
      best = place;
    }
    return best && { source: sources[best.source], line: best.line };
  }

  /** Returns whether a place is in the bundle. */
  has(file, line) {
    return file === this.#table.file && line > this.#table.base;
  }
}

/** Decodes rows of places, each three base-64 VLQ numbers: steps of column, source and line. */
function decode(text) {
  let source = 0;
  let line = 0;
  return text.split(";").map((row) => {
    let column = 0;
    const numbers = decodeNumbers(row);
    const places = [];
    for (let at = 0; at < numbers.length; at += 3) {
      column += numbers[at];
      source += numbers[at + 1];
      line += numbers[at + 2];
      places.push({ column, source, line });
    }
    return places;
  });
}

function decodeNumbers(text) {
  const numbers = [];
  let value = 0;
  let shift = 0;
  for (const character of text) {
    const digit = DIGITS.indexOf(character);
    value += (digit & 31) * 2 ** shift;
    shift += 5;
    if (digit & 32) continue;
    numbers.push(value % 2 ? -(value - 1) / 2 : value / 2);
    value = 0;
    shift = 0;
  }
  return numbers;
}

/** Returns the frames of a stack: the function, and the file and line where they are known. */
function framesOf(stack) {
  return String(stack ?? "").split("\n").map((text) => {
    const match = FRAME.exec(text);
    return match ? { text, name: match[1] ?? "", file: match[2], line: Number(match[3]), column: Number(match[4]) } : { text };
  });
}

let lines;

/** Sets the table of the worker's bundle. */
export function setLines(table) {
  lines = new Lines(table);
}

/** Maps the frames in a text to the author's lines, and leaves out those of the SDK. */
export function mapStack(text) {
  if (!lines || !/^ *at /m.test(text)) return text;
  const kept = [];
  for (const frame of framesOf(text)) {
    if (frame.line === undefined) {
      if (!/^ *at .*\(native\)$/.test(frame.text)) kept.push(frame.text);
      continue;
    }
    const place = lines.find(frame.file, frame.line, frame.column);
    if (place) kept.push(`    at ${frame.name ? `${frame.name} (${place.source}:${place.line})` : `${place.source}:${place.line}`}`);
  }
  return kept.join("\n");
}

/** Returns the author's file and line where an error was thrown, such as `src/worker.ts:12`. */
export function placeOf(error) {
  if (!lines) return undefined;
  let first;
  for (const frame of framesOf(error?.stack)) {
    const place = frame.line === undefined ? undefined : lines.find(frame.file, frame.line, frame.column);
    if (!place) continue;
    first ??= place;
    if (!place.source.includes("node_modules/")) return `${place.source}:${place.line}`;
  }
  return first && `${first.source}:${first.line}`;
}
