// The tab "Transcript": the toolbar, the search, the scrolling part and the composer below it.

import { useEffect, useMemo, useRef } from "preact/hooks";
import { batch, useSignal, useSignalEffect } from "@preact/signals";

import { request, url, workerPath } from "../../api/client";
import { generation, watchEntries } from "../../api/fleet";
import {
  type Entry,
  type EntryFilter,
  type EntryKind,
  type EntryPage,
  type EntryQuery,
  filterQuery,
  isFailure,
  isFiltering,
} from "../../api/entry";
import { Problem } from "../../api/problem";
import { TranscriptWindow } from "../../api/transcript";
import type { Row } from "../../api/turns";
import { GrantAndRetry } from "../../flows/grant-and-retry";
import { Button } from "../../parts/button";
import { CommandLine, Empty } from "../../parts/empty";
import { Icon } from "../../parts/icon";
import { useCommands } from "../../parts/keys";
import { shortId } from "../../parts/name";
import { toast, toastFailure } from "../../parts/toast";
import { hash, setHash } from "../../router";
import { grouped } from "../../text/bytes";
import { SHOWN_BYTES } from "../../text/guest";
import { Composer, focusComposer } from "./composer";
import { EntryDetails } from "./entry-details";
import { KIND_GROUPS } from "./entry-text";
import { KindMenu } from "./kind-menu";
import type { LiveWorker, Worker } from "./live";
import { readBefore } from "./read-ahead";
import { Search } from "./search";
import { type PaneHandle, TranscriptPane } from "./transcript-pane";

export function TranscriptTab({ live, worker }: { live: LiveWorker; worker: Worker }) {
  const version = useSignal(0);
  const follows = useSignal(false);
  const current = useSignal<number | undefined>(undefined);
  const searching = useSignal(hash.peek()["q"] !== undefined);
  const handle = useRef<PaneHandle>(null);
  const { held, take } = useMemo(() => windowOf(live, () => (version.value += 1)), [live]);

  const filterKey = `${hash.value["kind"] ?? ""} ${hash.value["turn"] ?? ""}`;
  const filter = useMemo(() => filterOf(hash.value["kind"], hash.value["turn"]), [filterKey]);
  const wanted = Number(hash.value["seq"]);
  const seq = Number.isSafeInteger(wanted) && wanted > 0 ? wanted : undefined;

  /** Shows an entry, loading its surroundings if they are not there. */
  const jump = async (to: number, { replace = true, keyboard = false } = {}) => {
    follows.value = false;
    current.value = to;
    if (held.phase !== "ready" || (!held.find(to) && !isWithin(held, to))) await held.openAt(to);
    // A trimmed entry leads to the gap, a filtered one to the nearest that is shown.
    const near = held.find(to)
      ? to
      : (held.next(to - 1, 1, () => true) ?? held.next(to, -1, () => true))?.entry.seq;
    batch(() => {
      current.value = near;
      if (near === to) setHash({ seq: to }, { replace });
    });
    // After the rows are there.
    requestAnimationFrame(() => {
      if (near === undefined) return;
      // What a denial needs is what one jumps to it for.
      if (keyboard && held.find(near)?.entry.kind === "denied") handle.current?.open(near);
      handle.current?.show(near);
      if (keyboard) requestAnimationFrame(() => handle.current?.focusRow(near));
    });
  };
  const toEnd = async () => {
    setHash({ seq: null });
    current.value = undefined;
    if (!held.atEnd || held.unread > 0) await held.openEnd();
    requestAnimationFrame(() => handle.current?.stick());
  };

  // The filter in the address decides what is held; a number in it decides where.
  const opened = useRef<string | null>(null);
  useEffect(() => {
    if (opened.current === filterKey) return;
    opened.current = filterKey;
    void held.setFilter(filter, seq).then(() => {
      if (seq !== undefined) void jump(seq);
      else requestAnimationFrame(() => handle.current?.stick());
    });
  }, [held, filterKey]);
  useEffect(() => {
    if (seq !== undefined && seq !== current.peek() && opened.current !== null && held.phase === "ready")
      void jump(seq);
  }, [seq]);

  useFollowing(live, held, version, take);
  // A read that failed is repeated when the host is back.
  const back = generation.value;
  useEffect(() => {
    if (held.phase === "failed") void held.openEnd();
  }, [back]);
  useEffect(() => () => held.close(), [held]);

  /** Moves to the next row that a test accepts, asking the host beyond what is held. */
  const step = async (
    direction: 1 | -1,
    test: (row: Row) => boolean,
    kinds: readonly EntryKind[],
    what: string,
  ) => {
    const from =
      current.peek() ??
      (direction === 1
        ? (handle.current?.seen() ?? 0)
        : follows.peek()
          ? Infinity
          : (handle.current?.seen() ?? Infinity));
    const row = held.next(from, direction, test);
    if (row) return jump(row.entry.seq, { keyboard: true });
    if (direction === 1 ? held.atEnd : held.atStart)
      return toast({ text: `No ${direction === 1 ? "later" : "earlier"} ${what}.` });
    try {
      const [first, last] = held.range ?? [0, 0];
      const entry = await held.nextOnHost(direction === 1 ? last : first, direction, { ...filter, kinds });
      if (entry) return jump(entry.seq, { keyboard: true });
      return toast({ text: `No ${direction === 1 ? "later" : "earlier"} ${what}.` });
    } catch (error) {
      return toastFailure("The transcript was not read.", error);
    }
  };
  const failures = (direction: 1 | -1) =>
    void step(direction, (row) => isFailure(row.entry), ["failure", "failed", "interrupted"], "failure");
  const denials = (direction: 1 | -1) =>
    void step(direction, (row) => row.entry.kind === "denied", ["denied"], "denial");
  const turns = (direction: 1 | -1) => void step(direction, (row) => row.heads, ["input"], "turn");
  const rows = (direction: 1 | -1) => void step(direction, () => true, [], "entry");
  const openSearch = () => void (searching.value = true);
  const closeSearch = () => {
    searching.value = false;
    setHash({ q: null });
    handle.current?.focus();
  };
  const group = "Transcript";
  useCommands([
    { does: "Search the transcript", keys: "/", group, run: openSearch },
    {
      does: "Follow the end",
      keys: "f",
      group,
      run: () => void (follows.peek() ? (follows.value = false) : toEnd()),
    },
    { does: "To the end", keys: "End", group, listed: false, run: () => void toEnd() },
    {
      does: "To the beginning",
      keys: "Home",
      group,
      listed: false,
      run: () => void jump(Math.max(1, held.first)),
    },
    { does: "Next turn", keys: "]", group, run: () => turns(1) },
    { does: "Previous turn", keys: "[", group, run: () => turns(-1) },
    { does: "Next failure", keys: "e", group, run: () => failures(1) },
    { does: "Previous failure", keys: "Shift+E", group, run: () => failures(-1) },
    { does: "Next denial", keys: "d", group, run: () => denials(1) },
    { does: "Previous denial", keys: "Shift+D", group, run: () => denials(-1) },
    { does: "Next entry", keys: "j", group, listed: false, run: () => rows(1) },
    { does: "Previous entry", keys: "k", group, listed: false, run: () => rows(-1) },
    { does: "Write an input", keys: "i", group, run: focusComposer },
  ]);

  // A worker that was just created is there to be fed.
  useEffect(() => {
    if (hash.value["compose"] === undefined) return;
    focusComposer();
    setHash({ compose: null });
  }, [hash.value["compose"]]);

  const turn = hash.value["turn"];
  const details = (entry: Entry) => (
    <EntryDetails
      live={live}
      entry={entry}
      aside={entry.kind === "denied" ? <WayPast live={live} entry={entry} /> : undefined}
    />
  );
  return (
    <div class="transcript-tab">
      <div class="toolbar row wrap">
        <KindMenu
          kinds={filter.kinds}
          onChange={(kinds) => setHash({ kind: kinds.join(",") || null, seq: null })}
        />
        {turn !== undefined && (
          <Button icon="close" onClick={() => setHash({ turn: null })}>
            Only turn {shortId(turn)}
          </Button>
        )}
        <GoTo
          onSeq={(to) => void jump(to, { replace: false })}
          onTime={async (at) => {
            const found = await held.openTime(at);
            if (found === undefined) toast({ text: "There is no entry at that time or later." });
            else await jump(found, { replace: false });
          }}
        />
        <span class="grow" />
        <Held held={held} version={version.value} />
        <Button quiet icon="search" label="Search" keys="/" onClick={openSearch} />
        <a
          class="button quiet icon"
          aria-label="Download as JSON lines"
          title="Download as JSON lines"
          href={url(`${workerPath(live.ref)}/transcript.jsonl`, { query: { ...filterQuery(filter) } })}
          download={`${live.ref.worker_id}.jsonl`}
        >
          <Icon name="download" />
        </a>
      </div>
      {searching.value && (
        <Search
          live={live}
          text={hash.value["q"] ?? ""}
          filter={filter}
          onText={(text) => setHash({ q: text || null })}
          onJump={(to) => void jump(to)}
          onClose={closeSearch}
        />
      )}
      <TranscriptPane
        window={held}
        version={version}
        follows={follows}
        current={current}
        handle={handle}
        details={details}
        onlyTurn={
          turn === undefined ? (input) => setHash({ turn: input, seq: null }, { replace: false }) : undefined
        }
        onFollow={() => void toEnd()}
        onRetry={() => void (seq === undefined ? toEnd() : jump(seq))}
        empty={
          <Empty icon="clock" title={isFiltering(filter) ? "Nothing matches" : "Nothing happened yet"}>
            <p>
              {isFiltering(filter)
                ? "No entry is of the chosen kinds."
                : "What the worker does, says and is refused will stand here, in order."}
            </p>
            {!isFiltering(filter) && (
              <CommandLine command={`skep worker send ${live.ref.worker_id} MESSAGE`} />
            )}
            {isFiltering(filter) && (
              <Button onClick={() => setHash({ kind: null, turn: null })}>Show everything</Button>
            )}
          </Empty>
        }
      />
      {!live.removed.value && <Composer live={live} worker={worker} compact onSent={() => void toEnd()} />}
    </div>
  );
}

/** The grant that a denial asks for, beside the worker's grants as they are now. */
function WayPast({ live, entry }: { live: LiveWorker; entry: Entry }) {
  const worker = live.worker.value;
  if (!worker || live.removed.value) return null;
  return (
    <GrantAndRetry
      worker={worker}
      entry={entry as never}
      onChanged={(changed) => live.put(changed)}
      onShow={(input) => setHash({ turn: input, kind: null, seq: null }, { replace: false })}
    />
  );
}

/** Time for which entries of the stream are collected, in milliseconds. */
const FLUSH_MS = 50;

/** Makes the window of a worker, and the function that gives it entries of the stream. */
function windowOf(live: LiveWorker, changed: () => void) {
  const source = {
    page: (query: EntryQuery, signal: AbortSignal) =>
      readBefore(live.ref, query) ??
      request<EntryPage>("get", `${workerPath(live.ref)}/transcript`, { query: { ...query }, signal }),
  };
  const held = new TranscriptWindow(source, changed, SHOWN_BYTES);
  let waiting: Entry[] = [];
  let frame = 0;
  const flush = () => {
    frame = 0;
    const entries = waiting;
    waiting = [];
    held.accept(entries);
  };
  // One change of the page per 50 ms, however many entries arrive in it: laying out costs more than
  // the rows do. A hidden page has time.
  const take = (entry: Entry) => {
    waiting.push(entry);
    if (frame !== 0) return;
    const isSeen = document.visibilityState === "visible";
    frame = window.setTimeout(
      () => (isSeen ? requestAnimationFrame(flush) : flush()),
      isSeen ? FLUSH_MS : 5 * FLUSH_MS,
    );
  };
  return { held, take };
}

/** Follows the worker's entries once the window knows where it ends. */
function useFollowing(
  live: LiveWorker,
  held: TranscriptWindow,
  version: { value: number },
  take: (entry: Entry) => void,
) {
  const isReady = useSignal(false);
  useSignalEffect(() => {
    if (version.value >= 0 && held.phase === "ready") isReady.value = true;
  });
  useEffect(() => {
    if (!isReady.value) return undefined;
    return watchEntries(
      live.ref,
      held.resumeAfter,
      (entry) => take(entry as Entry),
      (problem) => {
        if (problem.status === 410) live.removed.value = true;
        else toastFailure("The transcript is not followed.", new Problem(problem));
      },
    );
  }, [held, isReady.value]);
}

function isWithin(held: TranscriptWindow, seq: number): boolean {
  const range = held.range;
  return range !== undefined && seq >= range[0] && seq <= range[1] && isFiltering(held.filter);
}

/** Reads a filter from the address. Unknown words are left out. */
function filterOf(kind: string | undefined, turn: string | undefined): EntryFilter {
  const known = new Set<string>(KIND_GROUPS.flatMap((group) => group.kinds));
  const kinds = (kind?.split(",") ?? []).filter((word): word is EntryKind => known.has(word));
  return { kinds, inputId: turn };
}

/** Tells how much the transcript has. */
function Held({ held }: { held: TranscriptWindow; version: number }) {
  if (held.head === 0) return null;
  const kept = held.first > 1 ? held.head - held.first + 1 : held.head;
  return (
    <span class="muted small wide-only" title={`Entries ${held.first} to ${held.head}`}>
      {grouped(kept)} {kept === 1 ? "entry" : "entries"}
    </span>
  );
}

/** A field for a number or a time to go to. */
function GoTo({ onSeq, onTime }: { onSeq: (seq: number) => void; onTime: (at: string) => Promise<void> }) {
  const problem = useSignal("");
  return (
    <form
      class="go-to"
      onSubmit={(event) => {
        event.preventDefault();
        const field = event.currentTarget.elements.namedItem("to");
        const text = field instanceof HTMLInputElement ? field.value.trim().replace(/^#/, "") : "";
        const seq = Number(text.replace(/,/g, ""));
        problem.value = "";
        if (Number.isSafeInteger(seq) && seq > 0) return onSeq(seq);
        const time = Date.parse(text);
        if (Number.isNaN(time)) {
          problem.value = "Type an entry's number, or a time such as 2026-11-30 12:00.";
          return undefined;
        }
        void onTime(new Date(time).toISOString()).catch((error: unknown) =>
          toastFailure("The transcript was not read.", error),
        );
        return undefined;
      }}
    >
      <label>
        <span class="unseen">Go to an entry or a time</span>
        <input
          name="to"
          placeholder="Go to # or time"
          aria-invalid={problem.value !== ""}
          spellcheck={false}
          autocomplete="off"
        />
      </label>
      {problem.value && (
        <span class="error small" role="alert">
          {problem.value}
        </span>
      )}
    </form>
  );
}
