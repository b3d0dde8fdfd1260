// An event stream over `fetch`: resumes after the last event it saw, waits for a login when the
// session ends, rests while its tab is hidden and backs off while the host is away.
//
// `EventSource` would do less: it cannot be paused, hides the status of a refusal, and repeats a
// request whose cursor the host no longer knows.

import { heard, missed, offline } from "./connection";
import { Problem, isAbort } from "./problem";
import { ended, loggedInAgain } from "./session";
import { claimSlot } from "./slots";
import { EventParser, type ServerEvent } from "./sse";

/** Time for which a hidden tab keeps its stream, in milliseconds. */
const HIDDEN_MS = 10_000;

/** Bounds of the wait before a new attempt, in milliseconds. */
const RETRY_MS = { first: 250, most: 3_000 };

/** How long a tab without a slot reads in its turn, and how long it then pauses, in milliseconds. */
const TURN_MS = { read: 700, pause: 3_000 };

export interface StreamOptions {
  /** The address; asked for at each attempt. */
  url: () => string;
  onEvent: (event: ServerEvent) => void;
  /** Called when the stream is open, also again after a break. */
  onOpen?: () => void;
  /** Called with a refusal that a new attempt cannot change. The stream is closed. */
  onRefused?: (problem: Problem) => void;
}

export interface Stream {
  /** Opens the stream anew, at its present address. It resumes after its last event. */
  restart(): void;
  close(): void;
}

/** Opens a stream that lives until it is closed. */
export function openStream(options: StreamOptions): Stream {
  let closed = false;
  let lastId = "";
  let running: AbortController | undefined;
  let wake: (() => void) | undefined;
  let hiding: ReturnType<typeof setTimeout> | undefined;

  const hidden = () => document.visibilityState === "hidden";
  const onVisibility = () => {
    clearTimeout(hiding);
    if (hidden()) hiding = setTimeout(() => running?.abort(), HIDDEN_MS);
    else wake?.();
  };
  document.addEventListener("visibilitychange", onVisibility);

  /** Waits for a time, less if woken; without a time until woken. */
  const rest = (ms?: number) =>
    new Promise<void>((resolve) => {
      const timer = ms === undefined ? undefined : setTimeout(resolve, ms);
      wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });

  /** Reads the stream until it ends. Returns true if it brought anything. */
  const read = async (signal: AbortSignal): Promise<boolean> => {
    const headers: Record<string, string> = { accept: "text/event-stream" };
    if (lastId) headers["last-event-id"] = lastId;
    const response = await fetch(options.url(), { headers, signal, cache: "no-store" });
    if (!response.ok) throw await Problem.of(response);
    if (!response.body) return false;
    heard();
    options.onOpen?.();
    const reader = response.body.getReader();
    const decoder = new TextDecoder();
    const parser = new EventParser();
    let brought = false;
    for (;;) {
      const { done, value } = await reader.read();
      if (done || signal.aborted) return brought;
      heard();
      brought = true;
      for (const event of parser.push(decoder.decode(value, { stream: true }))) {
        if (event.id) lastId = event.id;
        options.onEvent(event);
      }
    }
  };

  const run = async () => {
    let wait = RETRY_MS.first;
    while (!closed) {
      if (hidden()) {
        await rest();
        continue;
      }
      const attempt = new AbortController();
      running = attempt;
      const slot = await claimSlot(() => attempt.abort(), attempt.signal);
      const turn = slot.stays ? undefined : setTimeout(() => attempt.abort(), TURN_MS.read);
      try {
        if (!attempt.signal.aborted && (await read(attempt.signal))) wait = RETRY_MS.first;
      } catch (error) {
        if (error instanceof Problem) {
          if (error.status === 401) {
            ended();
            await loggedInAgain();
            continue;
          }
          if (error.status === 410 || (error.status === 400 && lastId)) {
            // The cursor is too old: begin with a new snapshot.
            lastId = "";
          } else if (error.status < 500 && error.status !== 429) {
            close();
            options.onRefused?.(error);
            return;
          }
        } else if (!isAbort(error)) {
          missed();
        }
      } finally {
        clearTimeout(turn);
        slot.release();
        running = undefined;
      }
      if (closed) return;
      if (attempt.signal.aborted) {
        if (!slot.stays) await rest(TURN_MS.pause);
        continue;
      }
      missed();
      await rest(wait * (0.75 + Math.random() / 2));
      wait = Math.min(wait * 2, RETRY_MS.most);
    }
  };

  // A host that came back is not kept waiting for the end of a pause.
  const unsubscribe = offline.subscribe((away) => {
    if (!away) wake?.();
  });

  const close = () => {
    closed = true;
    clearTimeout(hiding);
    document.removeEventListener("visibilitychange", onVisibility);
    unsubscribe();
    running?.abort();
    wake?.();
  };

  void run();
  return {
    restart: () => {
      running?.abort();
      wake?.();
    },
    close,
  };
}
