// The scrolling part of the transcript. Blocks of 100 rows carry `content-visibility`, so the
// browser lays out what is seen and its own search still finds the rest.
//
// Following sticks to the end: new rows are taken once per frame, and the end is kept in view by
// every change of the list's height. A reader who scrolls up keeps their place: rows are added
// below, and nothing above is dropped.

import { Component, type RefObject } from "preact";
import { type Signal, signal } from "@preact/signals";
import { useEffect, useLayoutEffect, useMemo, useRef } from "preact/hooks";

import type { Entry } from "../../api/entry";
import type { Block, TranscriptWindow } from "../../api/transcript";
import type { Turns } from "../../api/turns";
import { Button } from "../../parts/button";
import { Skeleton } from "../../parts/load";
import { ProblemView } from "../../parts/problem";
import { clock } from "../../prefs";
import { grouped } from "../../text/bytes";
import { absolute, rfc3339, zone } from "../../text/time";
import { EntryRow, type RowContext, TurnHeader } from "./entry-row";

/** Distance from an end of the list at which more is read, in pixels. */
const NEAR_PX = 900;

/** Distance from the end within which scrolling down follows again, in pixels. */
const STICK_PX = 4;

export interface PaneHandle {
  /** Scrolls an entry into the middle. */
  show: (seq: number) => void;
  /** Scrolls to the end and stays there. */
  stick: () => void;
  /** Opens the details of an entry. */
  open: (seq: number) => void;
  /** Moves the keyboard to an entry. */
  focusRow: (seq: number) => void;
  /** The number of the first row that is seen. */
  seen: () => number | undefined;
  focus: () => void;
}

export interface PaneProps {
  window: TranscriptWindow;
  /** Counts changes of the window. */
  version: Signal<number>;
  /** True while the end is kept in view. */
  follows: Signal<boolean>;
  /** The entry that keys move from. */
  current: Signal<number | undefined>;
  handle: RefObject<PaneHandle | null>;
  details: (entry: Entry) => preact.ComponentChildren;
  onlyTurn: ((inputId: string) => void) | undefined;
  onFollow: () => void;
  onRetry: () => void;
  empty: preact.ComponentChildren;
}

export function TranscriptPane(props: PaneProps) {
  const { window: held, version, follows, current, handle } = props;
  void version.value;
  const scroller = useRef<HTMLDivElement>(null);
  const list = useRef<HTMLDivElement>(null);
  const lastTop = useRef(0);
  const opened = useMemo(() => signal<ReadonlySet<number>>(new Set()), [held]);
  const style = clock.value === "utc" ? "utc" : "local";
  const latest = useRef(props);
  latest.current = props;
  const context = useMemo<RowContext>(
    () => ({
      clock: style,
      details: (entry) => latest.current.details(entry),
      before: (seq) => {
        const previous = held.next(seq, -1, () => true);
        return previous ? previous.entry.seq + 1 : 1;
      },
    }),
    [held, style],
  );

  const pin = () => {
    const element = scroller.current;
    if (!element || !follows.peek()) return;
    element.scrollTop = element.scrollHeight;
    lastTop.current = element.scrollTop;
  };
  useLayoutEffect(pin);
  useEffect(() => {
    // Blocks take their real height as they come into view.
    const observer = new ResizeObserver(pin);
    if (list.current) observer.observe(list.current);
    if (scroller.current) observer.observe(scroller.current);
    return () => observer.disconnect();
  }, [held]);
  useEffect(() => follows.subscribe((on) => void (held.mayDropOldest = on)), [held]);

  useEffect(() => {
    const rowOf = (seq: number) => scroller.current?.querySelector<HTMLElement>(`[data-seq="${seq}"]`);
    handle.current = {
      show: (seq) => {
        follows.value = false;
        let tries = 0;
        const settle = () => {
          const row = rowOf(seq);
          row?.scrollIntoView({ block: "center", behavior: "instant" });
          lastTop.current = scroller.current?.scrollTop ?? 0;
          tries += 1;
          // What was estimated above the row takes its height now.
          if (tries < 3) requestAnimationFrame(settle);
        };
        settle();
      },
      stick: () => {
        follows.value = true;
        pin();
        requestAnimationFrame(pin);
      },
      open: (seq) => {
        if (!opened.peek().has(seq)) opened.value = new Set([...opened.peek(), seq]);
      },
      focusRow: (seq) => rowOf(seq)?.querySelector("button")?.focus({ preventScroll: true }),
      seen: () => {
        const element = scroller.current;
        if (!element) return undefined;
        const box = element.getBoundingClientRect();
        // Below the header of a turn, if one stands first.
        for (const below of [2, 26, 50]) {
          const at = document
            .elementFromPoint(box.left + box.width / 2, box.top + below)
            ?.closest("[data-seq]");
          if (at instanceof HTMLElement && element.contains(at)) return Number(at.dataset["seq"]);
        }
        return undefined;
      },
      focus: () => scroller.current?.focus({ preventScroll: true }),
    };
  }, [held]);

  // One listener for all rows: there may be ten thousand.
  const onClick = (event: MouseEvent) => {
    const row =
      event.target instanceof Element
        ? event.target.closest("button.kind, button.rest")?.closest("[data-seq]")
        : null;
    if (!(row instanceof HTMLElement)) return;
    const seq = Number(row.dataset["seq"]);
    const next = new Set(opened.peek());
    if (!next.delete(seq)) next.add(seq);
    opened.value = next;
    current.value = seq;
  };
  const onPointerOver = (event: PointerEvent) => {
    const time = event.target;
    if (!(time instanceof HTMLTimeElement) || time.title !== "") return;
    const ms = Date.parse(time.dateTime);
    time.title = `${absolute(ms, style)}${style === "local" ? ` ${zone(ms)}` : ""}\n${rfc3339(ms)}`;
  };

  const onScroll = () => {
    const element = scroller.current;
    if (!element) return;
    const top = element.scrollTop;
    const left = element.scrollHeight - element.clientHeight - top;
    if (follows.peek()) {
      // Only a person moves up; the end itself moves down.
      if (top < lastTop.current - 1 && left > STICK_PX) follows.value = false;
    } else if (left <= STICK_PX && held.atEnd && top > lastTop.current) follows.value = true;
    lastTop.current = top;
    if (top < NEAR_PX && !held.atStart) {
      // At the very top browsers do not keep the place while rows are added above.
      if (top < 1) element.scrollTop = 1;
      void held.older();
    }
    if (left < NEAR_PX && !held.atEnd) void held.newer();
  };
  // A page that does not fill the view is read further at once.
  useEffect(() => {
    const element = scroller.current;
    if (!element || held.phase !== "ready" || held.problem !== undefined) return;
    if (!held.atStart && !held.readingOlder && element.scrollTop < NEAR_PX) void held.older();
    const left = element.scrollHeight - element.clientHeight - element.scrollTop;
    if (!held.atEnd && !held.readingNewer && left < NEAR_PX) void held.newer();
  });

  const isEmpty = held.phase === "ready" && held.count === 0 && held.atStart && !held.readingOlder;
  return (
    <div class="pane">
      <div
        ref={scroller}
        class={`transcript${follows.value ? " following" : ""}`}
        tabIndex={0}
        role="region"
        aria-label="Transcript"
        onScroll={onScroll}
        onClick={onClick}
        onPointerOver={onPointerOver}
        onWheel={(event) => {
          if (event.deltaY < 0 && (scroller.current?.scrollTop ?? 0) > 0) follows.value = false;
        }}
      >
        {held.phase === "failed" && <ProblemView error={held.problem} retry={props.onRetry} />}
        {held.phase === "loading" && held.count === 0 && <Skeleton lines={8} />}
        {isEmpty && props.empty}
        <div ref={list} class="blocks">
          {held.phase !== "failed" && held.count > 0 && (
            <p class="beginning muted small">
              {held.atStart ? "The beginning" : held.readingOlder ? "Reading earlier entries…" : "\u00a0"}
            </p>
          )}
          {held.blocks.map((block) => (
            <BlockView
              key={block.key}
              block={block}
              turns={held.turns}
              opened={opened.value}
              current={current.value}
              context={context}
              only={props.onlyTurn}
            />
          ))}
          {!held.atEnd && held.phase === "ready" && held.count > 0 && (
            <p class="beginning muted small">{held.readingNewer ? "Reading later entries…" : "\u00a0"}</p>
          )}
        </div>
        {held.phase === "ready" && held.problem !== undefined && (
          <ProblemView error={held.problem} retry={props.onRetry} />
        )}
      </div>
      {!follows.value && held.phase === "ready" && held.count > 0 && (
        <div class="to-end">
          <Button icon="down" keys="f" onClick={props.onFollow}>
            {held.unread > 0 ? `${grouped(held.unread)} newer · Follow` : "Follow"}
          </Button>
        </div>
      )}
    </div>
  );
}

interface BlockProps {
  block: Block;
  turns: Turns;
  opened: ReadonlySet<number>;
  current: number | undefined;
  context: RowContext;
  only: ((inputId: string) => void) | undefined;
}

/** One block. It renders again only if it or one of its rows looks different. */
class BlockView extends Component<BlockProps> {
  override shouldComponentUpdate(next: BlockProps): boolean {
    const now = this.props;
    if (
      now.block !== next.block ||
      now.context !== next.context ||
      (now.only === undefined) !== (next.only === undefined)
    ) {
      return true;
    }
    const first = next.block.rows[0]?.entry.seq ?? 0;
    const last = next.block.rows.at(-1)?.entry.seq ?? 0;
    const holds = (seq: number | undefined) => seq !== undefined && seq >= first && seq <= last;
    if (now.current !== next.current && (holds(now.current) || holds(next.current))) return true;
    if (now.opened === next.opened) return false;
    return [...now.opened, ...next.opened].some(
      (seq) => holds(seq) && now.opened.has(seq) !== next.opened.has(seq),
    );
  }

  override render({ block, turns, opened, current, context, only }: BlockProps) {
    return (
      <ol class="block">
        {block.rows.map((row) => {
          const { seq } = row.entry;
          const line = (
            <EntryRow
              key={seq}
              row={row}
              open={opened.has(seq)}
              current={seq === current}
              context={context}
            />
          );
          if (!row.heads || row.entry.input_id == null) return line;
          return [<TurnHeader key={`t${seq}`} turn={turns.of(row.entry.input_id)} only={only} />, line];
        })}
      </ol>
    );
  }
}
