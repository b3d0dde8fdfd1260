// Entries of a transcript as the API sends them, and what a page asks for.

/** The kinds of entries, in the words of the API. */
export type EntryKind =
  | "created"
  | "connected"
  | "disconnected"
  | "input"
  | "event"
  | "log"
  | "output"
  | "failure"
  | "interrupted"
  | "stopped"
  | "started"
  | "updated"
  | "rolled_back"
  | "denied"
  | "gap"
  | "failed"
  | "request"
  | "compiled"
  | "access";

/** The ways in which a turn ends. */
export type Ending = "completed" | "failed" | "trapped" | "deadline" | "limit" | "cancelled" | "host_fault";

/** One entry. A kind that a newer host has is shown by its word. */
export interface Entry {
  readonly seq: number;
  readonly at: string;
  readonly kind: EntryKind;
  readonly input_id?: string | null;
  readonly label?: string | null;
  readonly outcome?: Ending | null;
  readonly content_type?: string;
  readonly body?: string | null;
  readonly body_base64?: string | null;
  /** Length of the whole body, if this one is cut. */
  readonly body_bytes?: number | null;
  /** True if the guest's limits cut the body for good. */
  readonly truncated?: boolean;
}

/** Entries that a page asks for. At most one of the places. */
export interface EntryQuery {
  readonly after?: number;
  readonly before?: number;
  readonly last?: number;
  readonly at?: string;
  readonly limit?: number;
  readonly kind?: string;
  readonly input_id?: string;
  readonly q?: string;
  readonly preview?: number;
}

/** A page of entries, in order of their numbers. */
export interface EntryPage {
  readonly items: readonly Entry[];
  /** For the next `after`. */
  readonly next_cursor: string;
  /** For the next `before`; null at the beginning. */
  readonly prev_cursor?: string | null;
  readonly more: boolean;
  readonly first_seq?: number | null;
  readonly last_seq?: number | null;
}

/** What entries have to match. */
export interface EntryFilter {
  /** Empty for all kinds. */
  readonly kinds: readonly EntryKind[];
  readonly inputId?: string | undefined;
  readonly text?: string | undefined;
}

export const NO_FILTER: EntryFilter = { kinds: [] };

export function isFiltering(filter: EntryFilter): boolean {
  return filter.kinds.length > 0 || filter.inputId !== undefined || filter.text !== undefined;
}

/** Writes a filter as the parameters of a request. */
export function filterQuery(filter: EntryFilter): EntryQuery {
  return {
    ...(filter.kinds.length > 0 ? { kind: filter.kinds.join(",") } : {}),
    ...(filter.inputId === undefined ? {} : { input_id: filter.inputId }),
    ...(filter.text === undefined ? {} : { q: filter.text }),
  };
}

/** Returns true if an entry of the stream matches. The text of a cut body is searched as far as it
 * came; the host searches the whole. */
export function passes(filter: EntryFilter, entry: Entry): boolean {
  if (filter.kinds.length > 0 && !filter.kinds.includes(entry.kind)) return false;
  if (filter.inputId !== undefined && entry.input_id !== filter.inputId) return false;
  if (filter.text === undefined) return true;
  const wanted = filter.text.toLowerCase();
  return [entry.label, entry.body].some((text) => text?.toLowerCase().includes(wanted) ?? false);
}

/** Returns true for an entry that ends its turn. */
export function endsTurn(entry: Entry): boolean {
  return entry.kind === "output" || entry.kind === "failure";
}

/** Returns true for an entry that a person looks for when something went wrong. */
export function isFailure(entry: Entry): boolean {
  return entry.kind === "failure" || entry.kind === "failed" || entry.kind === "interrupted";
}
