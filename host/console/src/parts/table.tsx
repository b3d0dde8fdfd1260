// A table of any length: only the rows that are seen are elements. Columns give way as the table
// gets narrower. Arrow keys, j and k move; Enter opens; x and Space choose.

import { Component, type ComponentChildren } from "preact";
import { useEffect, useId, useRef } from "preact/hooks";
import { type Signal, useSignal, useSignalEffect } from "@preact/signals";

import { Icon } from "./icon";
import { useCommands } from "./keys";
import type { Rows } from "./rows";

/** Height of a row in pixels, as `--row`. */
export const ROW_PX = 32;

/** Rows beyond what is seen, so that a fast scroll shows no holes. */
const BEYOND = 8;

export interface Column<T> {
  id: string;
  title: string;
  /** Width as a grid track: `minmax(12rem, 2fr)`, `6rem`. */
  width: string;
  /** Width of the table from which the column shows, in pixels. */
  from?: number;
  /** Sort order that its heading asks for. */
  sort?: string;
  end?: boolean;
  cell: (row: T) => ComponentChildren;
}

export interface Sort {
  by: string;
  descending: boolean;
}

/** Chosen rows by key. */
export interface Choice {
  chosen: Signal<ReadonlySet<string>>;
}

export interface TableProps<T> {
  label: string;
  rows: Rows<T>;
  columns: readonly Column<T>[];
  sort?: Sort | undefined;
  onSort?: (sort: Sort) => void;
  /** Opens a row: Enter, double click. Links in cells do it for a single click. */
  onOpen?: (row: T) => void;
  choice?: Choice | undefined;
  /** Chooses or clears all rows, for the box in the head. */
  onChooseAll?: (all: boolean) => void;
  /** Classes for a row that is special, such as `gone`. */
  look?: (row: T) => string | undefined;
  class?: string;
  /** What is shown, such as filter and order: when it changes, the table starts at its top. */
  view?: string;
}

export function Table<T>(props: TableProps<T>) {
  const { rows, choice } = props;
  const id = useId();
  const scroller = useRef<HTMLDivElement>(null);
  const width = useSignal(0);
  const height = useSignal(0);
  const first = useSignal(0);
  const current = useSignal(-1);
  const anchor = useRef(-1);

  useEffect(() => {
    const element = scroller.current;
    if (!element) return undefined;
    const measure = () => {
      width.value = element.clientWidth;
      height.value = element.clientHeight;
    };
    const observer = new ResizeObserver(measure);
    observer.observe(element);
    measure();
    return () => observer.disconnect();
  }, []);

  useEffect(() => {
    if (scroller.current) scroller.current.scrollTop = 0;
    current.value = -1;
    anchor.current = -1;
  }, [props.view]);

  const count = rows.count.value;
  const seen = Math.ceil(height.value / ROW_PX);
  const from = Math.max(0, Math.min(first.value, count - seen) - BEYOND);
  const to = Math.min(count, from + seen + 2 * BEYOND);

  useSignalEffect(() => {
    const shown = Math.ceil(height.value / ROW_PX);
    if (shown > 0) rows.want(first.value, Math.min(rows.count.value, first.value + shown + BEYOND));
  });

  const show = (index: number) => {
    const element = scroller.current;
    if (!element) return;
    const top = index * ROW_PX;
    // The head covers the first row's height of what is seen.
    const room = element.clientHeight - ROW_PX;
    if (top < element.scrollTop) element.scrollTop = top;
    else if (top + ROW_PX > element.scrollTop + room) element.scrollTop = top + ROW_PX - room;
  };
  const move = (to: number) => {
    const index = Math.max(0, Math.min(rows.count.peek() - 1, to));
    if (index < 0) return;
    current.value = index;
    show(index);
  };
  const choose = (index: number, range: boolean) => {
    const row = rows.at(index);
    if (!choice || !row) return;
    const next = new Set(choice.chosen.peek());
    const adding = !next.has(rows.key(row));
    const other = range && anchor.current >= 0 ? anchor.current : index;
    for (let at = Math.min(index, other); at <= Math.max(index, other); at += 1) {
      const one = rows.at(at);
      if (!one) continue;
      if (adding) next.add(rows.key(one));
      else next.delete(rows.key(one));
    }
    anchor.current = index;
    choice.chosen.value = next;
  };
  const open = (index: number) => {
    const row = rows.at(index);
    if (row) props.onOpen?.(row);
  };

  const at = () => current.peek();
  useCommands([
    { does: "Next row", keys: "j", group: "Tables", listed: false, run: () => move(at() + 1) },
    { does: "Previous row", keys: "k", group: "Tables", listed: false, run: () => move(at() - 1) },
    ...(props.onOpen
      ? [{ does: "Open the row", keys: "Enter", group: "Tables", listed: false, run: () => open(at()) }]
      : []),
    ...(choice
      ? [{ does: "Choose the row", keys: "x", group: "Tables", listed: false, run: () => choose(at(), false) }]
      : []),
  ]);

  const onKeyDown = (event: KeyboardEvent) => {
    if (event.target !== scroller.current) return;
    const page = Math.max(1, seen - 2);
    const steps: Record<string, () => void> = {
      ArrowDown: () => move(at() + 1),
      ArrowUp: () => move(at() - 1),
      PageDown: () => move(at() + page),
      PageUp: () => move(at() - page),
      Home: () => move(0),
      End: () => move(rows.count.peek() - 1),
      Enter: () => open(at()),
      " ": () => choose(at(), event.shiftKey),
    };
    const step = event.ctrlKey || event.metaKey || event.altKey ? undefined : steps[event.key];
    if (!step) return;
    event.preventDefault();
    step();
  };

  void rows.version.value;
  const chosen = choice?.chosen.value;
  const columns = props.columns.filter((one) => width.value >= (one.from ?? 0));
  const tracks = columns.map((one) => one.width).join(" ");
  const lines: ComponentChildren[] = [];
  for (let index = from; index < to; index += 1) {
    const row = rows.at(index);
    const key = row && rows.key(row);
    lines.push(
      <Line
        key={index}
        id={`${id}-${index}`}
        index={index}
        row={row}
        columns={columns}
        look={row && props.look?.(row)}
        chosen={key !== undefined && chosen?.has(key)}
        current={index === current.value}
        choose={choice && choose}
      />,
    );
  }

  return (
    <div
      ref={scroller}
      class={`table ${props.class ?? ""}`}
      role="grid"
      aria-label={props.label}
      aria-rowcount={count + 1}
      aria-multiselectable={choice ? true : undefined}
      aria-activedescendant={current.value >= from && current.value < to ? `${id}-${current.value}` : undefined}
      tabIndex={0}
      style={{ "--columns": choice ? `20px ${tracks}` : tracks }}
      onScroll={(event) => {
        first.value = Math.floor(event.currentTarget.scrollTop / ROW_PX);
      }}
      onFocus={(event) => {
        if (event.target === event.currentTarget && at() < 0) current.value = first.peek();
      }}
      onKeyDown={onKeyDown}
      onClick={(event) => {
        const index = lineOf(event.target);
        if (index === null) return;
        current.value = index;
      }}
      onDblClick={(event) => {
        const index = lineOf(event.target);
        if (index !== null) open(index);
      }}
    >
      <div class="head" role="row" aria-rowindex={1}>
        {choice && (
          <span class="pick" role="columnheader">
            <input
              type="checkbox"
              aria-label="Choose all"
              checked={Boolean(chosen?.size)}
              ref={(box) => {
                if (box) box.indeterminate = Boolean(chosen?.size && chosen.size < count);
              }}
              onChange={(event) => props.onChooseAll?.(event.currentTarget.checked)}
            />
          </span>
        )}
        {columns.map((column) => (
          <Heading key={column.id} column={column} sort={props.sort} onSort={props.onSort} />
        ))}
      </div>
      <div class="rows" role="rowgroup" style={{ height: `${count * ROW_PX}px` }}>
        <div class="window" role="presentation" style={{ transform: `translateY(${from * ROW_PX}px)` }}>
          {lines}
        </div>
      </div>
    </div>
  );
}

/** The place of the row that an event happened in; null on a control of its own. */
function lineOf(target: EventTarget | null): number | null {
  if (!(target instanceof Element) || target.closest("a, button, input, label")) return null;
  const line = target.closest("[data-index]");
  return line instanceof HTMLElement ? Number(line.dataset["index"]) : null;
}

interface HeadingProps<T> {
  column: Column<T>;
  sort: Sort | undefined;
  onSort: ((sort: Sort) => void) | undefined;
}

function Heading<T>({ column, sort, onSort }: HeadingProps<T>) {
  const by = column.sort;
  const on = by !== undefined && sort?.by === by;
  return (
    <span
      class={`cell${column.end ? " end" : ""}`}
      role="columnheader"
      aria-sort={on ? (sort.descending ? "descending" : "ascending") : undefined}
    >
      {by === undefined || !onSort ? (
        column.title
      ) : (
        <button type="button" onClick={() => onSort({ by, descending: on && !sort.descending })}>
          {column.title}
          {on && <Icon name={sort.descending ? "down" : "up"} />}
        </button>
      )}
    </span>
  );
}

interface LineProps<T> {
  id: string;
  index: number;
  row: T | undefined;
  columns: readonly Column<T>[];
  look: string | undefined;
  chosen: boolean | undefined;
  current: boolean;
  choose: ((index: number, range: boolean) => void) | undefined;
}

/** One row. It renders again only if it became another. */
class Line<T> extends Component<LineProps<T>> {
  override shouldComponentUpdate(next: LineProps<T>): boolean {
    const now = this.props;
    return (
      now.row !== next.row ||
      now.index !== next.index ||
      now.chosen !== next.chosen ||
      now.current !== next.current ||
      now.look !== next.look ||
      now.columns.length !== next.columns.length ||
      now.columns.some((column, at) => column.id !== next.columns[at]?.id)
    );
  }

  override render({ id, index, row, columns, look, chosen, current, choose }: LineProps<T>) {
    return (
      <div
        id={id}
        class={`line${chosen ? " chosen" : ""}${current ? " current" : ""} ${look ?? ""}`}
        role="row"
        aria-rowindex={index + 2}
        aria-selected={chosen}
        data-index={index}
      >
        {choose && (
          <span class="pick" role="gridcell">
            <input
              type="checkbox"
              tabIndex={-1}
              aria-label="Choose"
              checked={chosen ?? false}
              disabled={row === undefined}
              onClick={(event) => choose(index, event.shiftKey)}
            />
          </span>
        )}
        {columns.map((column) => (
          <span key={column.id} class={`cell${column.end ? " end" : ""}`} role="gridcell">
            {row === undefined ? <i class="skeleton" /> : column.cell(row)}
          </span>
        ))}
      </div>
    );
  }
}
