// Loading: `useLoad` reads a value, keeps the last one while it reads a newer, and reads again when
// the host comes back. `Loaded` shows its states: nothing for 150 ms, a skeleton, the value, and a
// problem with a way to try again.

import type { ComponentChildren } from "preact";
import { useCallback, useEffect, useRef, useState } from "preact/hooks";

import { generation } from "../api/fleet";
import { Unreachable, isAbort } from "../api/problem";
import { ProblemView } from "./problem";

/** Time before a skeleton shows: what loads faster does not flicker. In milliseconds. */
const SKELETON_MS = 150;

export interface Load<T> {
  /** The last value; undefined before the first. */
  value: T | undefined;
  error: unknown;
  loading: boolean;
  reload: () => void;
  /** Puts in a value that a change answered. */
  set: (value: T) => void;
}

/** Reads a value when the component appears and when one of `keys` changes. */
export function useLoad<T>(
  read: (signal: AbortSignal) => Promise<T>,
  keys: readonly unknown[],
): Load<T> {
  const [state, setState] = useState<{ value?: T; error?: unknown; loading: boolean }>({
    loading: true,
  });
  const [asked, setAsked] = useState(0);
  const shown = useRef<readonly unknown[]>(keys);
  const back = generation.value;
  useEffect(() => {
    const left = new AbortController();
    const other = shown.current.some((key, at) => key !== keys[at]);
    shown.current = keys;
    setState((now) => ({ ...(other ? {} : now), error: undefined, loading: true }));
    read(left.signal).then(
      (value) => !left.signal.aborted && setState({ value, loading: false }),
      (error: unknown) => {
        if (isAbort(error) || left.signal.aborted) return;
        setState((now) => ({ ...now, error, loading: false }));
      },
    );
    return () => left.abort();
  }, [...keys, asked, back]);
  const reload = useCallback(() => setAsked((count) => count + 1), []);
  const set = useCallback((value: T) => setState({ value, loading: false }), []);
  return { value: state.value, error: state.error, loading: state.loading, reload, set };
}

/** Lines that stand for what is loading, after a moment. */
export function Skeleton({ lines = 3 }: { lines?: number }) {
  const [late, setLate] = useState(false);
  useEffect(() => {
    const timer = setTimeout(() => setLate(true), SKELETON_MS);
    return () => clearTimeout(timer);
  }, []);
  return (
    <div class="stack skeletons" role="status" aria-label="Loading">
      {late &&
        Array.from({ length: lines }, (_, at) => (
          <div key={at} class="skeleton" style={{ width: `${[92, 74, 83, 61][at % 4]}%` }} />
        ))}
    </div>
  );
}

export interface LoadedProps<T> {
  load: Load<T>;
  lines?: number;
  children: (value: T) => ComponentChildren;
}

/** Shows what a load has. A value that could not be renewed stays, below the problem. */
export function Loaded<T>({ load, lines = 3, children }: LoadedProps<T>) {
  const { value, error, reload } = load;
  // The shell already says that the host is away.
  const away = error instanceof Unreachable && value !== undefined;
  return (
    <>
      {error !== undefined && !away && <ProblemView error={error} retry={reload} />}
      {value !== undefined ? children(value) : error === undefined && <Skeleton lines={lines} />}
    </>
  );
}
