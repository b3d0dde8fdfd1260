// Times: relative, local or UTC, as the person chose. Copying one yields RFC 3339, whatever is
// shown. Relative times all age by one clock, so that a page with many of them wakes rarely.

import { signal, useComputed } from "@preact/signals";

import { clock } from "../prefs";
import { absolute, relative, rfc3339, zone } from "../text/time";

/** A host's clock may be ahead by this much, in milliseconds. */
const AHEAD_MS = 5_000;

/** The present, second by second while the page is seen. */
export const now = signal(Date.now());

let ticking: ReturnType<typeof setInterval> | undefined;

/** Starts the clock of relative times. */
export function startClock(): void {
  clearInterval(ticking);
  ticking = setInterval(() => {
    if (document.visibilityState === "visible") now.value = Date.now();
  }, 1_000);
  document.addEventListener("copy", copyTimes);
}

/** Puts RFC 3339 into the clipboard if the selection is within one time. */
function copyTimes(event: ClipboardEvent): void {
  const node = getSelection()?.anchorNode;
  const time = (node instanceof Element ? node : node?.parentElement)?.closest("time");
  const end = getSelection()?.focusNode;
  if (!time || !end || !time.contains(end) || !event.clipboardData) return;
  event.clipboardData.setData("text/plain", time.dateTime);
  event.preventDefault();
}

/** A time of the API. `exact` shows the clock time even where times are relative. */
export function Time({ at, exact = false }: { at: string | null | undefined; exact?: boolean }) {
  if (!at) return <span class="muted">–</span>;
  const ms = Date.parse(at);
  if (Number.isNaN(ms)) return <span>{at}</span>;
  const shown = clock.value;
  const style = shown === "utc" ? "utc" : "local";
  const title = `${absolute(ms, style)}${style === "local" ? ` ${zone(ms)}` : ""}\n${rfc3339(ms)}`;
  return (
    <time dateTime={rfc3339(ms)} title={title}>
      {shown === "relative" && !exact ? <Age ms={ms} /> : absolute(ms, style)}
    </time>
  );
}

/** The age of a time. Only its text changes as it ages. A host whose clock is a little ahead does
 * not put its entries into the future. */
function Age({ ms }: { ms: number }) {
  const text = useComputed(() => {
    const ahead = ms - now.value;
    return relative(ahead > 0 && ahead < AHEAD_MS ? now.value : ms, now.value);
  });
  return <>{text}</>;
}
