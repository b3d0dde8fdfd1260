// The search in a transcript: matches with what surrounds them, newest first, read in steps until
// enough are found. The host looks at a bounded part in each request.

import { useEffect, useLayoutEffect, useMemo, useRef } from "preact/hooks";
import { useSignal } from "@preact/signals";

import { type Entry, type EntryFilter, type EntryPage, filterQuery } from "../../api/entry";
import { request, workerPath } from "../../api/client";
import { isAbort } from "../../api/problem";
import { Button } from "../../parts/button";
import { GuestText } from "../../parts/guest-text";
import { Icon } from "../../parts/icon";
import { ProblemView } from "../../parts/problem";
import { Time } from "../../parts/time";
import { grouped } from "../../text/bytes";
import type { LiveWorker } from "./live";

/** Time between typing and asking, in milliseconds. */
const TYPING_MS = 200;

/** Matches of one step, and requests that it may take. */
const STEP = { matches: 30, requests: 12 };

/** Characters of context on each side of a match. */
const AROUND = 60;

/** Bytes of a body that a result needs. A match beyond them is shown without its context. */
const PREVIEW = 64 << 10;

export interface SearchProps {
  live: LiveWorker;
  text: string;
  filter: EntryFilter;
  onText: (text: string) => void;
  onJump: (seq: number) => void;
  onClose: () => void;
}

export function Search({ live, text, filter, onText, onJump, onClose }: SearchProps) {
  const field = useRef<HTMLInputElement>(null);
  const found = useSignal<readonly Entry[]>([]);
  const from = useSignal<number | null | undefined>(undefined);
  const searching = useSignal(false);
  const problem = useSignal<unknown>(undefined);
  const at = useSignal(-1);
  const running = useRef<AbortController | undefined>(undefined);
  const wanted = useMemo<EntryFilter>(() => ({ ...filter, text }), [filter, text]);

  const step = async (before: number | undefined) => {
    running.current?.abort();
    const asked = (running.current = new AbortController());
    searching.value = true;
    problem.value = undefined;
    try {
      let place = before;
      for (let requests = 0, matches = 0; requests < STEP.requests && matches < STEP.matches; requests += 1) {
        const query = {
          ...filterQuery(wanted),
          preview: PREVIEW,
          ...(place === undefined ? { last: STEP.matches } : { before: place, limit: STEP.matches }),
        };
        const page = await request<EntryPage>("get", `${workerPath(live.ref)}/transcript`, {
          query,
          signal: asked.signal,
        });
        const items = page.items.filter((entry) => entry.kind !== "gap").reverse();
        found.value = [...found.peek(), ...items];
        matches += items.length;
        from.value = page.prev_cursor == null ? null : Number(page.prev_cursor);
        if (page.prev_cursor == null) break;
        place = Number(page.prev_cursor);
      }
    } catch (error) {
      if (isAbort(error)) return;
      problem.value = error;
    }
    if (!asked.signal.aborted) searching.value = false;
  };

  useEffect(() => {
    found.value = [];
    from.value = undefined;
    at.value = -1;
    problem.value = undefined;
    if (text === "") return undefined;
    const timer = setTimeout(() => void step(undefined), TYPING_MS);
    return () => {
      clearTimeout(timer);
      running.current?.abort();
    };
  }, [wanted]);
  // Before the next key arrives: what is typed right after `/` is part of the text.
  useLayoutEffect(() => field.current?.focus(), []);

  const go = (index: number) => {
    const entry = found.value[Math.max(0, Math.min(found.value.length - 1, index))];
    if (!entry) return;
    at.value = found.value.indexOf(entry);
    onJump(entry.seq);
  };
  const onKeyDown = (event: KeyboardEvent) => {
    const steps: Record<string, () => void> = {
      Enter: () => go(at.value + (event.shiftKey ? -1 : 1)),
      ArrowDown: () => go(at.value + 1),
      ArrowUp: () => go(at.value - 1),
      Escape: onClose,
    };
    const run = steps[event.key];
    if (!run) return;
    event.preventDefault();
    run();
  };
  const isDone = from.value === null;
  return (
    <section class="search" aria-label="Search">
      <div class="row">
        <label class="search-field grow">
          <Icon name="search" />
          <span class="unseen">Search the transcript</span>
          <input
            ref={field}
            type="search"
            value={text}
            maxLength={200}
            placeholder="Text in any entry"
            spellcheck={false}
            autocomplete="off"
            onInput={(event) => onText(event.currentTarget.value)}
            onKeyDown={onKeyDown}
          />
        </label>
        <span class="muted small" role="status">
          {text === ""
            ? ""
            : searching.value
              ? "Searching…"
              : `${grouped(found.value.length)}${isDone ? "" : " or more"} found`}
        </span>
        <Button quiet icon="close" label="Close the search" keys="Esc" onClick={onClose} />
      </div>
      {problem.value !== undefined && (
        <ProblemView error={problem.value} retry={() => void step(undefined)} />
      )}
      {found.value.length > 0 && (
        <ol class="results" aria-label="Matches">
          {found.value.map((entry, index) => (
            <li key={entry.seq}>
              <button
                type="button"
                aria-current={index === at.value ? "true" : undefined}
                onClick={() => go(index)}
              >
                <span class="seq">{entry.seq}</span>
                <span class="kind">{entry.kind === "log" ? (entry.label ?? "log") : entry.kind}</span>
                <Context entry={entry} text={text} />
                <span class="muted small">
                  <Time at={entry.at} />
                </span>
              </button>
            </li>
          ))}
        </ol>
      )}
      {typeof from.value === "number" && !searching.value && (
        <Button quiet onClick={() => step(from.value ?? undefined)}>
          Search before entry {grouped(from.value)}
        </Button>
      )}
    </section>
  );
}

/** A match in what surrounds it. */
function Context({ entry, text }: { entry: Entry; text: string }) {
  const wanted = text.toLowerCase();
  for (const source of [entry.body, entry.label]) {
    // Lower case may have another length in a few scripts; the mark is then off by as much.
    const at = source?.toLowerCase().indexOf(wanted) ?? -1;
    if (source == null || at < 0) continue;
    const start = Math.max(0, at - AROUND);
    return (
      <span class="context">
        {start > 0 && "…"}
        <GuestText text={source.slice(start, at)} />
        <mark>
          <GuestText text={source.slice(at, at + text.length)} />
        </mark>
        <GuestText text={source.slice(at + text.length, at + text.length + AROUND)} />
      </span>
    );
  }
  return <span class="context muted">further on in a long body</span>;
}
