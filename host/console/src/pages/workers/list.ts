// The list behind the table: pages from the host, rows that change as the stream tells, counts per
// state, and the last known rows of runtimes that do not answer.

import { batch, signal } from "@preact/signals";

import { type WorkerChanged, type WorkerRow, generation, onWorkerChange, runtimeName, runtimes } from "../../api/fleet";
import { isAbort } from "../../api/problem";
import { me } from "../../api/session";
import { type Counts, type WorkerFilter, type WorkerPage, listWorkers, rowKey } from "../../api/workers";
import { PagedRows, type PageOf } from "../../parts/rows";
import type { Sort } from "../../parts/table";

/** Time between two looks at the counts while workers change, in milliseconds. */
const COUNT_MS = 2_000;

/** Time after which a runtime that was too slow to list its workers is asked again, in milliseconds. */
const AGAIN_MS = 1_000;

/** Rows that are kept of a runtime that stopped answering. */
const KEPT_ROWS = 500;

interface Shown extends WorkerRow {
  /** True for a worker that was removed since its row was loaded. */
  gone?: boolean;
}

/**
 * The last known rows by runtime. They outlive the page's visits, and belong to the caller who was
 * shown them.
 */
const lastKnown = new Map<string, Map<string, Shown>>();
let knownTo: unknown = null;

export class WorkerList {
  readonly rows: PagedRows<Shown>;
  readonly counts = signal<Counts | null>(null);
  readonly matched = signal<number | null>(null);
  /** Number of changes that the loaded rows do not have: workers that are new, for instance. */
  readonly unseen = signal(0);
  /** Sentences about runtimes whose workers are missing, or shown as they were. */
  readonly absent = signal<readonly string[]>([]);

  #filter: WorkerFilter = {};
  #sort: Sort = { by: "updated_at", descending: true };
  #unseen = new Set<string>();
  #changed = new Map<string, WorkerChanged>();
  #frame = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #again: ReturnType<typeof setTimeout> | undefined;
  #counting: AbortController | undefined;
  /** Number of last known rows that the list has beside the host's. */
  #extra = 0;

  constructor() {
    if (knownTo !== me.peek()) lastKnown.clear();
    knownTo = me.peek();
    this.rows = new PagedRows<Shown>({
      key: rowKey,
      load: (cursor, limit, signal, back) => this.#load(cursor, limit, signal, back),
      // Workers without a name are last in both directions.
      backwards: () => this.#sort.by !== "name",
    });
  }

  /** Follows changes until the returned function is called. */
  follow(): () => void {
    const stop = onWorkerChange((change) => this.#note(change));
    let first = true;
    const again = generation.subscribe(() => {
      if (!first) this.refresh();
      first = false;
    });
    return () => {
      stop();
      again();
      cancelAnimationFrame(this.#frame);
      clearTimeout(this.#timer);
      clearTimeout(this.#again);
      this.#counting?.abort();
      this.rows.dispose();
    };
  }

  /** Asks for workers that match, in an order. */
  ask(filter: WorkerFilter, sort: Sort): void {
    this.#filter = filter;
    this.#sort = sort;
    this.refresh();
  }

  refresh(): void {
    this.#unseen.clear();
    this.unseen.value = 0;
    void this.rows.reload();
  }

  /** Keys of the rows that are loaded. */
  loadedKeys(): Set<string> {
    const keys = new Set<string>();
    for (let at = 0; at < this.rows.count.peek(); at += 1) {
      const row = this.rows.at(at);
      if (row && !row.gone) keys.add(rowKey(row));
    }
    return keys;
  }

  /** Classes of a row. */
  look(row: Shown): string {
    if (row.gone) return "gone";
    const runtime = runtimes.value?.find((one) => one.runtime_id === row.runtime_id);
    return runtime?.status === "unavailable" ? "stale" : "";
  }

  async #load(
    cursor: string | null,
    limit: number,
    signal: AbortSignal,
    back: boolean,
  ): Promise<PageOf<Shown>> {
    const descending = this.#sort.descending !== back;
    const options = { filter: this.#filter, sort: this.#sort.by, descending };
    const later = cursor !== null || back;
    const page = await listWorkers({ ...options, cursor, limit, signal, counts: !later });
    if (later) return { ...page, ...this.#matched(page) };
    const kept = this.#keep(page);
    batch(() => {
      this.counts.value = page.counts;
      this.matched.value = page.matched ?? (page.next_cursor ? null : page.items.length);
    });
    const items = page.next_cursor ? [...kept, ...page.items] : [...page.items, ...kept];
    this.#extra = kept.length;
    return { items, next_cursor: page.next_cursor, ...this.#matched(page) };
  }

  #matched({ matched }: WorkerPage): { matched?: number } {
    return matched === undefined ? {} : { matched: matched + this.#extra };
  }

  /** Remembers rows by runtime, and returns those of runtimes that this page lacks. */
  #keep(page: WorkerPage): Shown[] {
    const lost = page.diagnostics.filter(({ code }) => code.startsWith("runtime_"));
    const missing = new Set(lost.map(({ subject }) => subject));
    for (const item of page.items) {
      if (missing.has(item.runtime_id)) continue;
      const rows = lastKnown.get(item.runtime_id) ?? new Map<string, Shown>();
      rows.set(rowKey(item), item);
      if (rows.size > KEPT_ROWS) rows.delete(rows.keys().next().value as string);
      lastKnown.set(item.runtime_id, rows);
    }
    const kept: Shown[] = [];
    const words: string[] = [];
    const here = new Set(page.items.map(rowKey));
    for (const { subject, message } of lost) {
      const rows = [...(lastKnown.get(subject ?? "")?.values() ?? [])];
      const known = rows.filter((row) => !here.has(rowKey(row)) && matches(row, this.#filter));
      kept.push(...known);
      const since = known.length ? ` Its ${known.length} last known workers are shown dimmed.` : "";
      words.push(subject ? `${runtimeName(subject)} does not answer.${since}` : message);
    }
    this.absent.value = words;
    // One that is known to be away tells when it is back. Another was only slow, as after its start.
    const isAway = (id: string | null | undefined) =>
      runtimes.peek()?.some((one) => one.runtime_id === id && one.status === "unavailable");
    clearTimeout(this.#again);
    if (lost.some(({ subject }) => !isAway(subject))) {
      this.#again = setTimeout(() => this.refresh(), AGAIN_MS);
    }
    return kept;
  }

  /** Collects changes; they are applied once a frame. */
  #note(change: WorkerChanged): void {
    this.#changed.set(rowKey(change), change);
    if (!this.#frame) this.#frame = requestAnimationFrame(() => this.#apply());
  }

  #apply(): void {
    this.#frame = 0;
    let touched = false;
    for (const [key, { worker }] of this.#changed) {
      const known = this.rows.change(key, (row) =>
        worker ? { ...row, ...worker, gone: false } : { ...row, gone: true },
      );
      touched ||= known;
      if (!known && worker && matches(worker, this.#filter)) this.#unseen.add(key);
    }
    this.#changed.clear();
    batch(() => {
      if (touched) this.rows.touch();
      this.unseen.value = this.#unseen.size;
    });
    this.#timer ??= setTimeout(() => void this.#count(), COUNT_MS);
  }

  /** Counts again after changes. */
  async #count(): Promise<void> {
    this.#timer = undefined;
    this.#counting?.abort();
    this.#counting = new AbortController();
    const { signal } = this.#counting;
    try {
      const page = await listWorkers({ filter: this.#filter, limit: 1, signal });
      batch(() => {
        if (page.counts) this.counts.value = page.counts;
        if (page.matched !== undefined) this.matched.value = page.matched;
      });
    } catch (error) {
      // The next change counts again; the shell tells that the host is away.
      if (!isAbort(error)) return;
    }
  }
}

/** Returns true if a row matches a filter, as far as its fields can tell. */
export function matches(row: WorkerRow, filter: WorkerFilter): boolean {
  const { q, state, kind, desired, execution, component, label, runtime_id } = filter;
  if (state && row.observed.state !== state) return false;
  if (kind && row.kind !== kind) return false;
  if (desired && row.desired !== desired) return false;
  if (execution && row.execution !== execution) return false;
  if (component && row.component !== component) return false;
  if (runtime_id && row.runtime_id !== runtime_id) return false;
  const labels = row.labels ?? {};
  if (label) {
    const at = label.indexOf("=");
    const [key, value] = at < 0 ? [label, ""] : [label.slice(0, at), label.slice(at + 1)];
    if (labels[key] !== value) return false;
  }
  if (!q) return true;
  const wanted = q.toLowerCase();
  const texts = [row.worker_id, row.display_ref ?? "", ...Object.entries(labels).flat()];
  return texts.some((text) => text.toLowerCase().includes(wanted));
}
