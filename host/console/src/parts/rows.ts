// Rows for the table: an array, or a list that the host pages by cursor.
//
// A paged list keeps the pages near what is seen and the cursor of every page it has passed, so a
// list of any length takes bounded memory and can be scrolled back.

import { type ReadonlySignal, signal } from "@preact/signals";

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
  load: (cursor: string | null, limit: number, signal: AbortSignal) => Promise<PageOf<T>>;
  key: (row: T) => string;
  /** Called with each page, for counts and diagnostics beside the items. */
  onPage?: (page: PageOf<T>) => void;
}

/** Rows of the first page, which is to be quick, and of the others. */
const FIRST_ROWS = 100;
const PAGE_ROWS = 500;

/** Pages that are kept. The rows of others are forgotten until they are seen again. */
const KEPT_PAGES = 8;

interface Page<T> {
  start: number;
  size: number;
  cursor: string | null;
  rows: readonly T[] | null;
  used: number;
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
  #pages: Page<T>[] = [];
  /** Cursor of the page after the last; undefined at the end. */
  #next: string | null | undefined = null;
  #places = new Map<string, { page: Page<T>; at: number }>();
  #wanted = { first: 0, last: 0 };
  #clock = 0;
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
      const page = await this.#options.load(null, FIRST_ROWS, signal);
      if (signal.aborted) return;
      this.#pages = [];
      this.#places.clear();
      this.#next = null;
      this.error.value = undefined;
      this.#add(page);
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
        const wanted = this.#missing();
        if (wanted === null) break;
        this.loading.value = true;
        const limit = wanted ? wanted.size : this.#pages.length ? PAGE_ROWS : FIRST_ROWS;
        const cursor = wanted ? wanted.cursor : (this.#next ?? null);
        const page = await this.#options.load(cursor, limit, signal);
        if (signal.aborted) return;
        if (wanted) this.#fill(wanted, page.items);
        else this.#add(page);
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

  /** A page to fill; undefined to load the next one; null if nothing is missing. */
  #missing(): Page<T> | undefined | null {
    const { first, last } = this.#wanted;
    this.#clock += 1;
    for (const index of [first, last]) {
      const page = this.#pageAt(index);
      if (!page) continue;
      page.used = this.#clock;
      if (!page.rows) return page;
    }
    const end = this.#pages.at(-1);
    const loaded = end ? end.start + end.size : 0;
    // The next page begins to load before its rows are seen.
    const near = last + FIRST_ROWS >= loaded;
    return near && this.#next !== undefined ? undefined : null;
  }

  #add(page: PageOf<T>): void {
    const end = this.#pages.at(-1);
    const start = end ? end.start + end.size : 0;
    const size = page.items.length;
    const added: Page<T> = { start, size, cursor: this.#next ?? null, rows: null, used: this.#clock };
    this.#pages.push(added);
    this.#next = page.next_cursor ?? undefined;
    const loaded = start + size;
    const more = this.#next === undefined ? 0 : FIRST_ROWS;
    this.count.value = this.#next === undefined ? loaded : Math.max(page.matched ?? 0, loaded + more);
    this.begun.value = true;
    this.#options.onPage?.(page);
    this.#fill(added, page.items);
  }

  #fill(page: Page<T>, items: readonly T[]): void {
    page.rows = items.slice(0, page.size);
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
