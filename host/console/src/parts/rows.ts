// Rows for the table: an array, or a list that the host pages by cursor.
//
// A paged list keeps the pages near what is seen and the cursor of every page it has passed, so a
// list of any length takes bounded memory and can be scrolled back. It grows from both ends: the last
// rows are reached at once, and rows in the middle from the nearer end.

import { type ReadonlySignal, batch, signal } from "@preact/signals";

import { isAbort } from "../api/problem";

export interface Rows<T> {
  /** Number of rows, with those that are not loaded. */
  count: ReadonlySignal<number>;
  /** Changes whenever a row may be another. */
  version: ReadonlySignal<number>;
  /** The row at a place; undefined while it loads. */
  at(index: number): T | undefined;
  key(row: T): string;
  /** Says which rows are seen, first and last. */
  want(first: number, last: number): void;
}

/** Rows of an array that is there. */
export function arrayRows<T>(rows: readonly T[], key: (row: T) => string): Rows<T> {
  return {
    count: signal(rows.length),
    version: signal(0),
    at: (index) => rows[index],
    key,
    want: () => {},
  };
}

export interface PageOf<T> {
  items: readonly T[];
  next_cursor?: string | null;
  /** Number of items in all, where the host counts them. */
  matched?: number;
}

export interface PagedOptions<T> {
  /**
   * Loads a page. `back` asks for pages from the end of the list towards its start, their rows in
   * that order too; it is asked only of lists that say how many items `matched`.
   */
  load: (cursor: string | null, limit: number, signal: AbortSignal, back: boolean) => Promise<PageOf<T>>;
  key: (row: T) => string;
  /** Tells if the list can be read from its end, as it is asked for now. */
  backwards?: () => boolean;
  /** Called with each page, for counts and diagnostics beside the items. */
  onPage?: (page: PageOf<T>) => void;
}

/** Rows of the first page, which is to be quick, and of the others. */
const FIRST_ROWS = 100;
const PAGE_ROWS = 500;

/** Rows of pages on the way to rows that are far away: the most that the host sends. */
const FAR_ROWS = 1_000;

/** Pages that are kept. The rows of others are forgotten until they are seen again. */
const KEPT_PAGES = 8;

interface Page<T> {
  start: number;
  size: number;
  cursor: string | null;
  rows: readonly T[] | null;
  /** True if it was read from the end of the list. */
  back: boolean;
}

/** What is known from one end of the list. */
interface Side {
  /** Cursor of the next page; undefined if there is none. */
  next: string | null | undefined;
  /** Number of rows from this end that have a page. */
  reach: number;
}

/** Rows of a list that the host pages. */
export class PagedRows<T> implements Rows<T> {
  readonly count = signal(0);
  readonly version = signal(0);
  /** The failure of the last page that was asked for. */
  readonly error = signal<unknown>(undefined);
  readonly loading = signal(false);
  /** True once a page arrived. */
  readonly begun = signal(false);

  readonly #options: PagedOptions<T>;
  /** Pages by their start. */
  #pages: Page<T>[] = [];
  #front: Side = { next: null, reach: 0 };
  #back: Side = { next: null, reach: 0 };
  #places = new Map<string, { page: Page<T>; at: number }>();
  #wanted = { first: 0, last: 0 };
  #left = new AbortController();
  #running = false;

  constructor(options: PagedOptions<T>) {
    this.#options = options;
  }

  key(row: T): string {
    return this.#options.key(row);
  }

  at(index: number): T | undefined {
    const page = this.#pageAt(index);
    return page?.rows?.[index - page.start];
  }

  want(first: number, last: number): void {
    this.#wanted = { first, last };
    void this.#run();
  }

  /** Forgets all rows and loads the first page again. Until it is there, the old rows show. */
  async reload(): Promise<void> {
    this.#left.abort();
    this.#left = new AbortController();
    const { signal } = this.#left;
    this.#running = true;
    this.loading.value = true;
    try {
      const page = await this.#options.load(null, FIRST_ROWS, signal, false);
      if (signal.aborted) return;
      this.#pages = [];
      this.#places.clear();
      this.#front = { next: null, reach: 0 };
      this.#back = { next: null, reach: 0 };
      batch(() => {
        this.count.value = 0;
        this.error.value = undefined;
        this.#add(page, false);
      });
    } catch (error) {
      if (isAbort(error) || signal.aborted) return;
      this.error.value = error;
    } finally {
      if (!signal.aborted) {
        this.#running = false;
        this.loading.value = false;
      }
    }
    if (!signal.aborted && this.error.value === undefined) void this.#run();
  }

  /** Stops loading, when the list is no longer shown. */
  dispose(): void {
    this.#left.abort();
  }

  /** Tries again after a failure. */
  retry(): void {
    this.error.value = undefined;
    if (this.begun.value) void this.#run();
    else void this.reload();
  }

  /** Changes a row that is loaded. Returns false if it is not. */
  change(key: string, change: (row: T) => T): boolean {
    const place = this.#places.get(key);
    const row = place?.page.rows?.[place.at];
    if (!place || !row) return false;
    const changed = change(row);
    if (changed !== row) (place.page.rows as T[])[place.at] = changed;
    return true;
  }

  /** Tells the table that rows changed. */
  touch(): void {
    this.version.value += 1;
  }

  get(key: string): T | undefined {
    const place = this.#places.get(key);
    return place?.page.rows?.[place.at];
  }

  #pageAt(index: number): Page<T> | undefined {
    let low = 0;
    let high = this.#pages.length - 1;
    while (low <= high) {
      const middle = (low + high) >> 1;
      const page = this.#pages[middle] as Page<T>;
      if (index < page.start) high = middle - 1;
      else if (index >= page.start + page.size) low = middle + 1;
      else return page;
    }
    return undefined;
  }

  /** Loads what is wanted, page by page: the cursor of a page is known from the one before. */
  async #run(): Promise<void> {
    if (this.#running || this.error.peek() !== undefined) return;
    this.#running = true;
    const { signal } = this.#left;
    try {
      for (;;) {
        const missing = this.#missing();
        if (!missing) break;
        this.loading.value = true;
        const { page, back, limit } = missing;
        const cursor = page ? page.cursor : ((back ? this.#back : this.#front).next ?? null);
        const loaded = await this.#options.load(cursor, limit, signal, back);
        if (signal.aborted) return;
        if (page) this.#fill(page, loaded.items);
        else batch(() => this.#add(loaded, back));
      }
    } catch (error) {
      if (!isAbort(error) && !signal.aborted) this.error.value = error;
    } finally {
      if (!signal.aborted) {
        this.#running = false;
        this.loading.value = false;
      }
    }
  }

  /** The next page to load for what is wanted: one that was forgotten, or a new one. */
  #missing(): { page?: Page<T>; back: boolean; limit: number } | null {
    const { first, last } = this.#wanted;
    const count = this.count.peek();
    const { reach } = this.#front;
    const backStart = count - this.#back.reach;
    // The next page begins to load before its rows are seen.
    for (const wanted of [first, last, last + FIRST_ROWS]) {
      const index = Math.min(wanted, count - 1);
      if (index < 0) continue;
      const page = this.#pageAt(index);
      if (page?.rows) continue;
      if (page) return { page, back: page.back, limit: page.size };
      if (this.#front.next === undefined) continue;
      const [ahead, behind] = [index - reach, backStart - index];
      const back = this.#options.backwards?.() === true && this.#back.next !== undefined && behind < ahead;
      const begins = this.#pages.length === 0 || (back && this.#back.reach === 0);
      const far = (back ? behind : ahead) > FAR_ROWS;
      return { back, limit: begins ? FIRST_ROWS : far ? FAR_ROWS : PAGE_ROWS };
    }
    // A list of unknown length grows as its end comes near.
    const near = last + FIRST_ROWS >= reach && this.#back.reach === 0;
    return near && this.#front.next !== undefined ? { back: false, limit: PAGE_ROWS } : null;
  }

  #add(page: PageOf<T>, back: boolean): void {
    const side = back ? this.#back : this.#front;
    const other = back ? this.#front : this.#back;
    const cursor = side.next ?? null;
    // Where both ends meet, rows of both would repeat.
    const room = other.reach ? Math.max(0, this.count.peek() - side.reach - other.reach) : Infinity;
    const size = Math.min(page.items.length, room);
    const start = back ? this.count.peek() - side.reach - size : side.reach;
    const added: Page<T> = { start, size, cursor, rows: null, back };
    side.next = page.next_cursor ?? undefined;
    side.reach += size;
    // Nothing is left between both ends, or the list was shorter than its count said.
    if (other.reach && (side.next === undefined || size < page.items.length || size === room)) {
      side.next = other.next = undefined;
    }
    if (!back) this.#recount(page);
    const at = this.#pages.findIndex((one) => one.start > start);
    this.#pages.splice(at < 0 ? this.#pages.length : at, 0, added);
    this.begun.value = true;
    this.#options.onPage?.(page);
    this.#fill(added, page.items);
  }

  #recount(page: PageOf<T>): void {
    if (this.#back.reach) return;
    const { next, reach } = this.#front;
    const matched = page.matched ?? this.count.peek();
    this.count.value = next === undefined ? reach : Math.max(matched, reach + FIRST_ROWS);
  }

  #fill(page: Page<T>, items: readonly T[]): void {
    const rows = items.slice(0, page.size);
    page.rows = page.back ? rows.reverse() : rows;
    page.rows.forEach((row, at) => this.#places.set(this.key(row), { page, at }));
    this.#forget();
    this.version.value += 1;
  }

  #forget(): void {
    const loaded = this.#pages.filter((page) => page.rows);
    if (loaded.length <= KEPT_PAGES) return;
    const { first, last } = this.#wanted;
    const away = (page: Page<T>) =>
      Math.max(page.start - last, first - (page.start + page.size), 0);
    loaded.sort((a, b) => away(b) - away(a));
    for (const page of loaded.slice(0, loaded.length - KEPT_PAGES)) {
      for (const row of page.rows ?? []) this.#places.delete(this.key(row));
      page.rows = null;
    }
  }
}
