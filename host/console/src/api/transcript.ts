// A window over a transcript of any length: the entries that a page holds, in blocks of rows. It
// opens at the end or at any entry, grows in both directions, and follows the end. Its memory is
// bounded: what is far from the reader is dropped and read again when it is needed.
//
// Entries come from pages and from a stream, each of which may repeat some or skip some after a
// reconnect. The window holds every entry between its two ends exactly once: an entry at or before
// `tail` is a repeat, and one beyond `tail + 1` means that those between are read first.

import {
  type Entry,
  type EntryFilter,
  type EntryPage,
  type EntryQuery,
  NO_FILTER,
  filterQuery,
  passes,
} from "./entry";
import { BEGINNING, type Place, type Row, Turns, arrange, isSame } from "./turns";

/** Rows of one block. The browser skips whole blocks that are off screen. */
export const BLOCK_ROWS = 100;

/** Entries of one page. */
export const PAGE = 200;

/** Entries that the window holds before it drops the far ones. */
const MOST_ENTRIES = 12_000;

/** Entries that the window holds at most: it stops following if none may be dropped. */
const HARD_ENTRIES = 16_000;

/** Characters of bodies that the window holds before it drops the far entries. */
const MOST_UNITS = 24 << 20;

/** Requests in a row for a filter that matches little. The page goes on if it still wants more. */
const REQUESTS = 8;

/** Where entries come from. */
export interface TranscriptSource {
  page(query: EntryQuery, signal: AbortSignal): Promise<EntryPage>;
}

/** Some consecutive rows. A block that changes is replaced, so identity tells what to draw. */
export interface Block {
  readonly key: number;
  readonly rows: readonly Row[];
  readonly from: Place;
  readonly to: Place;
  /** Characters of the bodies. */
  readonly units: number;
}

export type Phase = "loading" | "ready" | "failed";

export class TranscriptWindow {
  blocks: readonly Block[] = [];
  phase: Phase = "loading";
  /** The reason of `failed`, or of the last page that could not be read. */
  problem: unknown;
  filter: EntryFilter = NO_FILTER;
  /** The oldest entry that the host keeps, and the newest that this window heard of. */
  first = 0;
  head = 0;
  /** True if new entries are appended as they come. */
  atEnd = false;
  /** True while a page before or after the window is read. */
  readingOlder = false;
  readingNewer = false;
  /** False keeps the oldest rows when the window is full: a reader is among them. */
  mayDropOldest = true;
  readonly turns = new Turns();

  /** For the next `before`; null if the window begins at the transcript's beginning. */
  private prev: number | null = null;
  /** All that matches up to here is in the window. */
  private tail = 0;
  private size = 0;
  private units = 0;
  private keys = 0;
  private reading = new AbortController();
  private catchingUp = false;

  constructor(
    private readonly source: TranscriptSource,
    private readonly changed: () => void,
    private readonly previewBytes?: number,
  ) {}

  /** True if there is nothing before the window. */
  get atStart(): boolean {
    return this.prev === null;
  }

  get count(): number {
    return this.size;
  }

  /** The numbers of the first and last rows; undefined if there are none. */
  get range(): readonly [number, number] | undefined {
    const first = this.blocks[0]?.rows[0];
    const last = this.blocks.at(-1)?.rows.at(-1);
    return first && last ? [first.entry.seq, last.entry.seq] : undefined;
  }

  /** Entries after the window that were not read. With a filter, some of them may not match. */
  get unread(): number {
    return Math.max(0, this.head - this.tail);
  }

  /** The place from which a stream continues. */
  get resumeAfter(): number {
    return this.atEnd ? this.tail : Math.max(this.head, this.tail);
  }

  close(): void {
    this.reading.abort();
  }

  /** Shows the end. */
  async openEnd(): Promise<void> {
    await this.open(async (signal) => {
      const page = await this.backwards({ last: PAGE }, signal);
      return { ...page, tail: page.tail, atEnd: true };
    });
  }

  /** Shows an entry and what surrounds it. If it was trimmed, the oldest that is left. */
  async openAt(seq: number): Promise<void> {
    await this.open(async (signal) => {
      const [older, newer] = await Promise.all([
        this.backwards({ before: seq, limit: PAGE / 2 }, signal),
        this.forwards(Math.max(0, seq - 1), signal),
      ]);
      const seen = new Set(newer.entries.map((entry) => entry.seq));
      const entries = [...older.entries.filter((entry) => !seen.has(entry.seq)), ...newer.entries];
      entries.sort((a, b) => a.seq - b.seq);
      return { entries, prev: older.prev, tail: newer.tail, atEnd: !newer.more };
    });
  }

  /** Shows the first entries at a time or later. */
  async openTime(at: string): Promise<number | undefined> {
    const controller = new AbortController();
    const page = await this.ask({ at, limit: 1, ...filterQuery(this.filter) }, controller.signal);
    const seq = page.items[0]?.seq;
    if (seq === undefined) await this.openEnd();
    else await this.openAt(seq);
    return seq;
  }

  /** Changes the filter and stays near an entry, or at the end. */
  async setFilter(filter: EntryFilter, near?: number): Promise<void> {
    this.filter = filter;
    if (near === undefined) await this.openEnd();
    else await this.openAt(near);
  }

  /** Reads entries before the window. Returns true if there are more rows now. */
  async older(): Promise<boolean> {
    if (this.readingOlder || this.prev === null || this.phase !== "ready") return false;
    const { signal } = this.reading;
    this.readingOlder = true;
    this.changed();
    try {
      const page = await this.backwards({ before: this.prev, limit: PAGE }, signal);
      if (signal.aborted) return false;
      this.prev = page.prev;
      this.prepend(page.entries);
      this.problem = undefined;
      return page.entries.length > 0;
    } catch (problem) {
      if (!signal.aborted) this.problem = problem;
      return false;
    } finally {
      if (!signal.aborted) {
        this.readingOlder = false;
        this.changed();
      }
    }
  }

  /** Reads entries after the window, if it does not follow the end. */
  async newer(): Promise<boolean> {
    if (this.readingNewer || this.atEnd || this.phase !== "ready") return false;
    const { signal } = this.reading;
    this.readingNewer = true;
    this.changed();
    try {
      const page = await this.forwards(this.tail, signal);
      if (signal.aborted) return false;
      this.append(page.entries, page.tail);
      if (!page.more && this.tail >= this.head) this.atEnd = true;
      this.problem = undefined;
      return page.entries.length > 0;
    } catch (problem) {
      if (!signal.aborted) this.problem = problem;
      return false;
    } finally {
      if (!signal.aborted) {
        this.readingNewer = false;
        this.changed();
      }
    }
  }

  /** Takes entries of the stream. */
  accept(entries: readonly Entry[]): void {
    if (entries.length === 0) return;
    this.head = Math.max(this.head, entries.at(-1)!.seq);
    if (this.phase !== "ready" || !this.atEnd || this.catchingUp) {
      this.changed();
      return;
    }
    const fresh: Entry[] = [];
    let tail = this.tail;
    for (const entry of entries) {
      if (entry.seq <= tail) continue;
      // A gap entry stands for all that was trimmed before it.
      if (entry.seq !== tail + 1 && entry.kind !== "gap") {
        this.append(fresh, tail);
        void this.catchUp();
        return;
      }
      tail = entry.seq;
      if (passes(this.filter, entry)) fresh.push(entry);
    }
    this.append(fresh, tail);
    this.changed();
  }

  /** Returns the row of an entry, if the window has it. */
  find(seq: number): Row | undefined {
    for (const block of this.blocks) {
      const last = block.rows.at(-1);
      if (last === undefined || last.entry.seq < seq) continue;
      return block.rows.find((row) => row.entry.seq === seq);
    }
    return undefined;
  }

  /** Returns the next row in a direction that a test accepts, not counting the given entry. */
  next(from: number, direction: 1 | -1, test: (row: Row) => boolean): Row | undefined {
    const blocks = direction === 1 ? this.blocks : [...this.blocks].reverse();
    for (const block of blocks) {
      const rows = direction === 1 ? block.rows : [...block.rows].reverse();
      for (const row of rows) {
        const isBeyond = direction === 1 ? row.entry.seq > from : row.entry.seq < from;
        if (isBeyond && test(row)) return row;
      }
    }
    return undefined;
  }

  /** Asks the host for the nearest entry of some kinds in a direction, wherever it is. */
  async nextOnHost(from: number, direction: 1 | -1, filter: EntryFilter): Promise<Entry | undefined> {
    const { signal } = this.reading;
    let place = from;
    for (;;) {
      const query = direction === 1 ? { after: place } : { before: place };
      const page = await this.ask({ ...query, limit: 1, ...filterQuery(filter) }, signal);
      const found = page.items[0];
      if (found !== undefined && found.kind !== "gap") return found;
      if (!page.more) return undefined;
      const next = direction === 1 ? Number(page.next_cursor) : Number(page.prev_cursor ?? NaN);
      if (!Number.isFinite(next) || next === place) return undefined;
      place = next;
    }
  }

  private async ask(query: EntryQuery, signal: AbortSignal): Promise<EntryPage> {
    const page = await this.source.page(
      this.previewBytes === undefined ? query : { ...query, preview: this.previewBytes },
      signal,
    );
    if (page.first_seq != null) this.first = page.first_seq;
    if (page.last_seq != null) this.head = Math.max(this.head, page.last_seq);
    return page;
  }

  private async open(
    read: (
      signal: AbortSignal,
    ) => Promise<{ entries: Entry[]; prev: number | null; tail: number; atEnd: boolean }>,
  ): Promise<void> {
    this.reading.abort();
    const controller = (this.reading = new AbortController());
    this.readingOlder = false;
    this.readingNewer = false;
    this.catchingUp = false;
    this.phase = "loading";
    this.changed();
    try {
      const found = await read(controller.signal);
      if (controller.signal.aborted) return;
      this.blocks = [];
      this.size = 0;
      this.units = 0;
      this.turns.clear();
      this.prev = found.prev;
      this.tail = 0;
      this.append(found.entries, found.tail);
      // Entries may have come while the page was read.
      this.atEnd = found.atEnd;
      this.phase = "ready";
      this.problem = undefined;
      if (this.atEnd && this.head > this.tail) void this.catchUp();
    } catch (problem) {
      if (controller.signal.aborted) return;
      this.phase = "failed";
      this.problem = problem;
    }
    this.changed();
  }

  /** Reads backwards until something matches, within bounds. */
  private async backwards(
    query: EntryQuery,
    signal: AbortSignal,
  ): Promise<{ entries: Entry[]; prev: number | null; tail: number }> {
    const filter = filterQuery(this.filter);
    let page = await this.ask({ ...query, ...filter }, signal);
    const entries = [...page.items];
    // The host filters; what came after this answer is a matter of the stream.
    const tail = Number(page.next_cursor);
    for (
      let asked = 1;
      asked < REQUESTS && entries.length < PAGE / 4 && page.prev_cursor != null;
      asked += 1
    ) {
      page = await this.ask({ before: Number(page.prev_cursor), limit: PAGE, ...filter }, signal);
      entries.unshift(...page.items);
    }
    return { entries, prev: page.prev_cursor == null ? null : Number(page.prev_cursor), tail };
  }

  private async forwards(
    after: number,
    signal: AbortSignal,
  ): Promise<{ entries: Entry[]; tail: number; more: boolean }> {
    const filter = filterQuery(this.filter);
    let page = await this.ask({ after, limit: PAGE, ...filter }, signal);
    const entries = [...page.items];
    for (let asked = 1; asked < REQUESTS && entries.length < PAGE / 4 && page.more; asked += 1) {
      page = await this.ask({ after: Number(page.next_cursor), limit: PAGE, ...filter }, signal);
      entries.push(...page.items);
    }
    return { entries, tail: Number(page.next_cursor), more: page.more };
  }

  /** Reads what the stream skipped. The stream's entries wait: they are read with the rest. */
  private async catchUp(): Promise<void> {
    if (this.catchingUp) return;
    this.catchingUp = true;
    const { signal } = this.reading;
    try {
      while (this.atEnd && this.head > this.tail) {
        const before = this.tail;
        const page = await this.forwards(this.tail, signal);
        if (signal.aborted) return;
        this.append(page.entries, page.tail);
        this.changed();
        // The host has less than the stream said: its newest entries are not on this connection yet.
        if (this.tail === before) break;
      }
      this.problem = undefined;
    } catch (problem) {
      if (signal.aborted) return;
      // Nothing was skipped: the window ends here, and reads on when its end is shown.
      this.problem = problem;
      this.atEnd = false;
    }
    this.catchingUp = false;
    this.changed();
  }

  private append(entries: readonly Entry[], tail: number): void {
    const fresh = entries.filter((entry) => entry.seq > this.tail);
    this.tail = Math.max(this.tail, tail);
    if (fresh.length === 0) return;
    this.turns.note(fresh);
    const blocks = [...this.blocks];
    let at = 0;
    const last = blocks.at(-1);
    if (last !== undefined && last.rows.length < BLOCK_ROWS) {
      at = Math.min(fresh.length, BLOCK_ROWS - last.rows.length);
      const added = fresh.slice(0, at);
      const { rows, to } = arrange(added, last.to);
      blocks[blocks.length - 1] = {
        ...last,
        rows: [...last.rows, ...rows],
        to,
        units: last.units + unitsOf(added),
      };
    }
    for (; at < fresh.length; at += BLOCK_ROWS) {
      blocks.push(this.block(fresh.slice(at, at + BLOCK_ROWS), blocks.at(-1)?.to ?? BEGINNING));
    }
    this.size += fresh.length;
    this.units += unitsOf(fresh);
    this.blocks = blocks;
    if (this.isFull(MOST_ENTRIES) && this.mayDropOldest) this.dropOldest();
    else if (this.isFull(HARD_ENTRIES) && this.atEnd) this.atEnd = false;
  }

  private prepend(entries: readonly Entry[]): void {
    const first = this.range?.[0] ?? Infinity;
    const fresh = entries.filter((entry) => entry.seq < first);
    if (fresh.length === 0) return;
    this.turns.note(fresh);
    const blocks: Block[] = [];
    for (let at = 0; at < fresh.length; at += BLOCK_ROWS) {
      blocks.push(this.block(fresh.slice(at, at + BLOCK_ROWS), blocks.at(-1)?.to ?? BEGINNING));
    }
    // The rows after these now know the turn before them.
    const rest = [...this.blocks];
    let place = blocks.at(-1)!.to;
    for (let at = 0; at < rest.length && !isSame(place, rest[at]!.from); at += 1) {
      const block = rest[at]!;
      const { rows, to } = arrange(
        block.rows.map((row) => row.entry),
        place,
      );
      rest[at] = { ...block, rows, from: place, to };
      place = to;
    }
    this.size += fresh.length;
    this.units += unitsOf(fresh);
    this.blocks = [...blocks, ...rest];
    if (this.isFull(MOST_ENTRIES)) this.dropNewest();
  }

  private block(entries: readonly Entry[], from: Place): Block {
    this.keys += 1;
    const { rows, to } = arrange(entries, from);
    return { key: this.keys, rows, from, to, units: unitsOf(entries) };
  }

  private isFull(most: number): boolean {
    return this.size > most || this.units > MOST_UNITS;
  }

  private dropOldest(): void {
    const blocks = [...this.blocks];
    while (blocks.length > 2 && this.isFull(MOST_ENTRIES - 2_000)) {
      const dropped = blocks.shift()!;
      this.size -= dropped.rows.length;
      this.units -= dropped.units;
      this.prev = blocks[0]!.rows[0]!.entry.seq;
    }
    this.dropTo(blocks);
  }

  private dropNewest(): void {
    const blocks = [...this.blocks];
    while (blocks.length > 2 && this.isFull(MOST_ENTRIES - 2_000)) {
      const dropped = blocks.pop()!;
      this.size -= dropped.rows.length;
      this.units -= dropped.units;
      this.tail = blocks.at(-1)!.rows.at(-1)!.entry.seq;
      this.atEnd = false;
    }
    this.dropTo(blocks);
  }

  private dropTo(blocks: readonly Block[]): void {
    this.blocks = blocks;
    const range = this.range;
    if (range !== undefined) this.turns.keep(...range);
  }
}

function unitsOf(entries: readonly Entry[]): number {
  let units = 0;
  for (const { body, body_base64, label } of entries) {
    units += (body?.length ?? 0) + (body_base64?.length ?? 0) + (label?.length ?? 0);
  }
  return units;
}
