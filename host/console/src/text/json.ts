// JSON that keeps the text of its numbers. `JSON.parse` turns 18446744073709551615 into
// 18446744073709552000; this reader keeps each token as a range of the source, in flat arrays, so a
// document of several megabytes is read in a moment and shown as far as a page has opened it.

/** The kind of a value. */
export type JsonKind = "object" | "array" | "string" | "number" | "true" | "false" | "null";

const KINDS: readonly JsonKind[] = ["object", "array", "string", "number", "true", "false", "null"];
const OBJECT = 0;
const ARRAY = 1;
const STRING = 2;
const NUMBER = 3;

/** A place in the text that is not JSON. */
export class JsonError extends Error {
  /** Line and column, from 1. */
  readonly line: number;
  readonly column: number;

  constructor(
    text: string,
    readonly offset: number,
    expected: string,
  ) {
    let line = 1;
    let start = 0;
    for (let at = text.indexOf("\n"); at >= 0 && at < offset; at = text.indexOf("\n", at + 1)) {
      line += 1;
      start = at + 1;
    }
    const column = offset - start + 1;
    super(`line ${line}, column ${column}: expected ${expected}`);
    this.name = "JsonError";
    this.line = line;
    this.column = column;
  }
}

/** A member of an object or an item of an array. */
export interface JsonChild {
  /** The key as the source spells it, without its quotes; undefined in an array. */
  readonly key?: string;
  /** The value, for the methods of the document. */
  readonly value: number;
}

/** A document. Values are numbers that its methods take; `root` is the whole. */
export class JsonDocument {
  readonly root = 0;

  /** @internal */
  constructor(
    readonly source: string,
    private readonly kinds: Uint8Array,
    private readonly starts: Uint32Array,
    private readonly ends: Uint32Array,
    /** For each value, the first one after it and all that it holds. */
    private readonly nexts: Uint32Array,
    /** Number of members or items. */
    private readonly counts: Uint32Array,
  ) {}

  kind(value: number): JsonKind {
    return KINDS[this.kinds[value]!]!;
  }

  /** Returns the value as the source spells it, exactly. */
  text(value: number): string {
    return this.source.slice(this.starts[value]!, this.ends[value]!);
  }

  /** Returns the length of that text without making it. */
  length(value: number): number {
    return this.ends[value]! - this.starts[value]!;
  }

  /** Returns the number of members or items; 0 for a plain value. */
  count(value: number): number {
    return this.counts[value]!;
  }

  /** Returns up to `limit` members or items, from the given one on. */
  children(value: number, from = 0, limit = Infinity): JsonChild[] {
    const isObject = this.kinds[value] === OBJECT;
    const end = this.nexts[value]!;
    const found: JsonChild[] = [];
    let at = value + 1;
    for (let index = 0; at < end && found.length < limit; index += 1) {
      const child = isObject ? at + 1 : at;
      if (index >= from) {
        found.push(isObject ? { key: this.text(at).slice(1, -1), value: child } : { value: child });
      }
      at = this.nexts[child]!;
    }
    return found;
  }

  /** Returns the child of an object with this key, written without escapes. */
  get(value: number, key: string): number | undefined {
    if (this.kinds[value] !== OBJECT) return undefined;
    return this.children(value).find((child) => child.key === key)?.value;
  }
}

/** Reads a document. Throws a `JsonError` for text that is not JSON. Depth is bounded by memory. */
export function parseJson(source: string): JsonDocument {
  return new Reader(source).read();
}

/** Returns the document, or undefined if the text is not JSON. */
export function tryJson(source: string): JsonDocument | undefined {
  try {
    return parseJson(source);
  } catch {
    return undefined;
  }
}

/** Writes a document with each member and item on a line of its own. Numbers and strings stay as
 * the source spells them. */
export function pretty(document: JsonDocument, indent = "  "): string {
  const parts: string[] = [];
  // One frame for each open object or array; a recursion would end at a depth of thousands.
  const open: { children: JsonChild[]; at: number; close: string }[] = [];
  const write = (value: number): void => {
    const kind = document.kind(value);
    if ((kind !== "object" && kind !== "array") || document.count(value) === 0) {
      parts.push(kind === "object" ? "{}" : kind === "array" ? "[]" : document.text(value));
      return;
    }
    parts.push(kind === "object" ? "{" : "[");
    open.push({ children: document.children(value), at: 0, close: kind === "object" ? "}" : "]" });
  };
  write(document.root);
  for (let top = open.at(-1); top !== undefined; top = open.at(-1)) {
    const child = top.children[top.at];
    if (child === undefined) {
      open.pop();
      parts.push("\n", indent.repeat(open.length), top.close);
      continue;
    }
    parts.push(top.at === 0 ? "\n" : ",\n", indent.repeat(open.length));
    top.at += 1;
    if (child.key !== undefined) parts.push('"', child.key, '": ');
    write(child.value);
  }
  return parts.join("");
}

const NUMBER_TEXT = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/y;
// The part of a string up to its next escape or its end.
// eslint-disable-next-line no-control-regex
const STRING_PART = /[^"\\\u0000-\u001f]*/y;

class Reader {
  private at = 0;
  private size = 0;
  /** The objects and arrays around this place. */
  private readonly open: number[] = [];
  private kinds: Uint8Array;
  private starts: Uint32Array;
  private ends: Uint32Array;
  private nexts: Uint32Array;
  private counts: Uint32Array;

  constructor(private readonly source: string) {
    const guess = Math.max(16, source.length >> 3);
    this.kinds = new Uint8Array(guess);
    this.starts = new Uint32Array(guess);
    this.ends = new Uint32Array(guess);
    this.nexts = new Uint32Array(guess);
    this.counts = new Uint32Array(guess);
  }

  read(): JsonDocument {
    this.skip();
    for (;;) {
      this.value();
      // After a value: the end, a comma, or the ends of what holds it.
      while (!this.expectsValue()) {
        if (this.open.length === 0) {
          this.skip();
          if (this.at < this.source.length) throw this.error("the end of the text");
          return this.document();
        }
      }
    }
  }

  /** Reads what stands between two values. Returns true if a value is next. */
  private expectsValue(): boolean {
    this.skip();
    const holder = this.open.at(-1);
    if (holder === undefined) return false;
    const isObject = this.kinds[holder] === OBJECT;
    const isFirst = this.counts[holder] === 0;
    const unit = this.source.charCodeAt(this.at);
    if (unit === (isObject ? 0x7d : 0x5d)) {
      this.at += 1;
      this.ends[holder] = this.at;
      this.nexts[holder] = this.size;
      this.open.pop();
      return false;
    }
    if (!isFirst) {
      if (unit !== 0x2c) throw this.error(isObject ? '"," or "}"' : '"," or "]"');
      this.at += 1;
      this.skip();
    }
    if (isObject) this.key();
    return true;
  }

  private document(): JsonDocument {
    return new JsonDocument(
      this.source,
      this.kinds.slice(0, this.size),
      this.starts.slice(0, this.size),
      this.ends.slice(0, this.size),
      this.nexts.slice(0, this.size),
      this.counts.slice(0, this.size),
    );
  }

  private error(expected: string): JsonError {
    return new JsonError(this.source, this.at, expected);
  }

  private skip(): void {
    for (;;) {
      const unit = this.source.charCodeAt(this.at);
      if (unit !== 0x20 && unit !== 0x0a && unit !== 0x0d && unit !== 0x09) return;
      this.at += 1;
    }
  }

  private key(): void {
    if (this.source.charCodeAt(this.at) !== 0x22) throw this.error("a key in quotes");
    this.plain(STRING, this.string());
    this.skip();
    if (this.source.charCodeAt(this.at) !== 0x3a) throw this.error('":"');
    this.at += 1;
    this.skip();
  }

  private value(): void {
    const unit = this.source.charCodeAt(this.at);
    const holder = this.open.at(-1);
    if (holder !== undefined) this.counts[holder]! += 1;
    switch (unit) {
      case 0x7b:
        this.open.push(this.push(OBJECT, this.at + 1));
        break;
      case 0x5b:
        this.open.push(this.push(ARRAY, this.at + 1));
        break;
      case 0x22:
        this.plain(STRING, this.string());
        break;
      case 0x74:
        this.word("true", 4);
        break;
      case 0x66:
        this.word("false", 5);
        break;
      case 0x6e:
        this.word("null", 6);
        break;
      default: {
        NUMBER_TEXT.lastIndex = this.at;
        if (!NUMBER_TEXT.test(this.source)) throw this.error("a value");
        this.plain(NUMBER, NUMBER_TEXT.lastIndex);
      }
    }
  }

  private word(word: string, kind: number): void {
    if (!this.source.startsWith(word, this.at)) throw this.error("a value");
    this.plain(kind, this.at + word.length);
  }

  private plain(kind: number, end: number): void {
    const value = this.push(kind, end);
    this.nexts[value] = this.size;
  }

  /** Returns the end of the string that stands here. */
  private string(): number {
    let at = this.at + 1;
    for (;;) {
      STRING_PART.lastIndex = at;
      STRING_PART.test(this.source);
      at = STRING_PART.lastIndex;
      const unit = this.source.charCodeAt(at);
      if (unit === 0x22) return at + 1;
      if (unit !== 0x5c) {
        this.at = Math.min(at, this.source.length);
        throw this.error(at >= this.source.length ? 'the end of the string (")' : "an escaped character");
      }
      const next = this.source[at + 1];
      const isShort = next !== undefined && '"\\/bfnrt'.includes(next);
      const isLong = next === "u" && /^[0-9a-fA-F]{4}$/.test(this.source.slice(at + 2, at + 6));
      if (!isShort && !isLong) {
        this.at = at;
        throw this.error("an escape of JSON");
      }
      at += isShort ? 2 : 6;
    }
  }

  private push(kind: number, end: number): number {
    if (this.size === this.kinds.length) this.grow();
    const value = this.size;
    this.kinds[value] = kind;
    this.starts[value] = this.at;
    this.ends[value] = end;
    this.size += 1;
    this.at = end;
    return value;
  }

  private grow(): void {
    const size = this.kinds.length * 2;
    const wider = (from: Uint32Array): Uint32Array => {
      const to = new Uint32Array(size);
      to.set(from);
      return to;
    };
    const kinds = new Uint8Array(size);
    kinds.set(this.kinds);
    this.kinds = kinds;
    this.starts = wider(this.starts);
    this.ends = wider(this.ends);
    this.nexts = wider(this.nexts);
    this.counts = wider(this.counts);
  }
}
