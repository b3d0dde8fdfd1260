// The grouping of entries by turn. A worker handles one input at a time, but accepts the next ones
// meanwhile: such an input is a row of the turn that is running, and its own turn begins later.

import { type Signal, signal } from "@preact/signals";

import { type Ending, type Entry, endsTurn, isFailure } from "./entry";

/** One row: an entry, and its place in a turn. */
export interface Row {
  readonly entry: Entry;
  /** True if a turn's header stands above it. */
  readonly heads: boolean;
  /** True for an input that waits while another turn runs. */
  readonly waits: boolean;
}

/** The turn that a row belongs to, at one place between two rows. */
export interface Place {
  /** The turn's input; undefined outside of any turn. */
  readonly inputId: string | undefined;
  /** True after the turn's outcome. */
  readonly ended: boolean;
}

export const BEGINNING: Place = { inputId: undefined, ended: true };

/** Makes rows of entries that follow a place, and returns the place after them. */
export function arrange(entries: readonly Entry[], from: Place): { rows: Row[]; to: Place } {
  const rows: Row[] = [];
  let { inputId, ended } = from;
  for (const entry of entries) {
    const own = entry.input_id ?? undefined;
    if (own === undefined || own === inputId) {
      rows.push({ entry, heads: false, waits: false });
      // An entry without an input, such as `connected`, belongs to a turn that is running.
      if (own === undefined && ended) inputId = undefined;
    } else if (entry.kind === "input" && inputId !== undefined && !ended) {
      rows.push({ entry, heads: false, waits: true });
      continue;
    } else {
      rows.push({ entry, heads: true, waits: false });
      inputId = own;
      ended = false;
    }
    if (own !== undefined && endsTurn(entry)) ended = true;
  }
  return { rows, to: { inputId, ended } };
}

/** Returns true if two places continue alike. */
export function isSame(a: Place, b: Place): boolean {
  return a.inputId === b.inputId && a.ended === b.ended;
}

/** A turn, as far as the window has its entries. */
export interface Turn {
  readonly inputId: string;
  /** The entry of its input, if the window has it. */
  readonly input: Entry | undefined;
  /** Its first entry after the input. */
  readonly firstAt: string | undefined;
  readonly ending: Ending | undefined;
  readonly endedAt: string | undefined;
  readonly firstSeq: number;
  readonly lastSeq: number;
  readonly denials: number;
  readonly failures: number;
}

/** The turns of a window. A header follows its turn's signal, since the outcome may come much later
 * than the row above which the header stands. */
export class Turns {
  private readonly turns = new Map<string, Signal<Turn>>();

  of(inputId: string): Signal<Turn> {
    let turn = this.turns.get(inputId);
    if (turn === undefined) {
      turn = signal<Turn>({
        inputId,
        input: undefined,
        firstAt: undefined,
        ending: undefined,
        endedAt: undefined,
        firstSeq: Infinity,
        lastSeq: 0,
        denials: 0,
        failures: 0,
      });
      this.turns.set(inputId, turn);
    }
    return turn;
  }

  /** Notes entries, each at most once. */
  note(entries: readonly Entry[]): void {
    const changed = new Map<string, Turn>();
    for (const entry of entries) {
      const id = entry.input_id;
      if (id == null) continue;
      const turn = changed.get(id) ?? this.of(id).peek();
      const ends = endsTurn(entry);
      const isEarlier = entry.seq < turn.firstSeq || turn.firstAt === undefined;
      changed.set(id, {
        inputId: id,
        input: entry.kind === "input" ? entry : turn.input,
        firstAt: entry.kind !== "input" && isEarlier ? entry.at : turn.firstAt,
        ending: ends ? (entry.outcome ?? (entry.kind === "output" ? "completed" : "failed")) : turn.ending,
        endedAt: ends ? entry.at : turn.endedAt,
        firstSeq: Math.min(turn.firstSeq, entry.seq),
        lastSeq: Math.max(turn.lastSeq, entry.seq),
        denials: turn.denials + (entry.kind === "denied" ? 1 : 0),
        failures: turn.failures + (isFailure(entry) ? 1 : 0),
      });
    }
    for (const [id, turn] of changed) this.of(id).value = turn;
  }

  /** Forgets turns without an entry between two numbers. */
  keep(first: number, last: number): void {
    for (const [id, turn] of this.turns) {
      const { firstSeq, lastSeq } = turn.peek();
      if (lastSeq < first || firstSeq > last) this.turns.delete(id);
    }
  }

  clear(): void {
    this.turns.clear();
  }
}
