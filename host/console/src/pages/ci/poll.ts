// A value that is read again while it changes. Runs have no stream: another process writes them.

import { useEffect } from "preact/hooks";

import { offline } from "../../api/connection";
import { type Load, useLoad } from "../../parts/load";

/** Time between two reads, in milliseconds. The host's record is at most 200 ms old. */
const EVERY_MS = 800;

/** Reads a value, and again while `changes` says that it may change and the page is seen. */
export function usePolled<T>(
  read: (signal: AbortSignal) => Promise<T>,
  keys: readonly unknown[],
  changes: (value: T) => boolean,
): Load<T> {
  const load = useLoad(read, keys);
  const { value, loading, reload } = load;
  const more = value !== undefined && changes(value);
  const away = offline.value;
  useEffect(() => {
    if (!more || loading || away) return undefined;
    let timer = setTimeout(function next() {
      if (document.visibilityState === "visible") reload();
      else timer = setTimeout(next, EVERY_MS);
    }, EVERY_MS);
    return () => clearTimeout(timer);
  }, [value, loading, more, away]);
  return load;
}
