// The end of a transcript, asked for beside the worker itself: the page shows a screen of entries
// one round trip earlier.

import { request, workerPath } from "../../api/client";
import type { EntryPage, EntryQuery } from "../../api/entry";
import type { WorkerRef } from "../../api/fleet";
import { PAGE } from "../../api/transcript";
import { SHOWN_BYTES } from "../../text/guest";

/** What the window asks for first when it opens at the end. */
const END: EntryQuery = { last: PAGE, preview: SHOWN_BYTES };

/** Time after which an answer is too old to be shown first, in milliseconds. */
const FRESH_MS = 3_000;

const asked = new Map<string, { at: number; answer: Promise<EntryPage> }>();

const written = (query: EntryQuery) => JSON.stringify(Object.entries(query).sort());

/** Asks for the end of a transcript. */
export function readAhead(ref: WorkerRef): void {
  const path = `${workerPath(ref)}/transcript`;
  const answer = request<EntryPage>("get", path, { query: { ...END } });
  // The window asks again after a failure, and shows it.
  answer.catch(() => asked.delete(path));
  asked.set(path, { at: Date.now(), answer });
}

/** Returns the answer that was asked for ahead, once, if it is the one that is wanted now. */
export function readBefore(ref: WorkerRef, query: EntryQuery): Promise<EntryPage> | undefined {
  const path = `${workerPath(ref)}/transcript`;
  const found = asked.get(path);
  asked.delete(path);
  const fits = found && Date.now() - found.at < FRESH_MS && written(query) === written(END);
  return fits ? found.answer : undefined;
}
