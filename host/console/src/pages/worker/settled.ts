// A value that changes often, seen at most once in a while. A busy worker changes its state many
// times a second; what is read again after each change must not become a load of its own.

import { useEffect, useRef, useState } from "preact/hooks";

/** Time between two changes that are seen, in milliseconds. */
const LEAST_MS = 1_500;

/** Returns the value, at once after a quiet time, and otherwise at the end of the present interval. */
export function useSettled(value: string): string {
  const [seen, setSeen] = useState(value);
  const last = useRef(0);
  useEffect(() => {
    if (value === seen) return undefined;
    const left = last.current + LEAST_MS - Date.now();
    const timer = setTimeout(
      () => {
        last.current = Date.now();
        setSeen(value);
      },
      Math.max(0, left),
    );
    return () => clearTimeout(timer);
  }, [value, seen]);
  return seen;
}

/** Returns a key that changes when a worker did something, at most once in a while. */
export function useActivity(worker: {
  observed: { state: string };
  execution: string;
  queued_inputs: number;
  updated_at: string;
}): string {
  const { observed, execution, queued_inputs, updated_at } = worker;
  return useSettled(`${observed.state} ${execution} ${queued_inputs} ${updated_at}`);
}
