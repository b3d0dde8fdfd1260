// One call of the host: the worker's function, the jobs and timers that it waits for, and the
// outcome.
import { drain, forgetJobs, inspect, JobPromise, takeUnhandled } from "../globals/promise.js";
import { Failure } from "../failure.js";
import { timers } from "./globals.js";
import { entryName, placeOf } from "./lines.js";
import { sleepMs } from "./system.js";

const NEVER =
  "the promise that the worker returned never settles: no timer and no other work is left that could settle it; look for a promise whose resolve() is never called";

/** Runs a function to the end of the promise that it may return. */
export function run(call) {
  const value = call();
  if (value === null || typeof value !== "object" || typeof value.then !== "function") return value;
  return settle(JobPromise.resolve(value));
}

function settle(promise) {
  promise.then(undefined, () => {});
  for (;;) {
    drain();
    const { state, value } = inspect(promise);
    if (state === "fulfilled") return value;
    if (state === "rejected") throw value;
    const wait = timers.wait();
    if (wait === undefined) throw new Error(NEVER);
    if (wait > 0) sleepMs(wait);
    timers.runNext();
  }
}

/** Runs the remaining jobs, drops pending timers, and warns about work that was not awaited. */
export function finish() {
  try {
    drain();
  } catch (error) {
    console.error("Uncaught in a microtask:", error);
    forgetJobs();
  }
  const left = timers.clear();
  if (left > 0) {
    console.warn(`warning: ${left === 1 ? "a timer was" : `${left} timers were`} still waiting at the end of the turn and will not run: await what the timer does`);
  }
  for (const reason of takeUnhandled()) {
    console.warn("warning: unhandled rejection:", reason);
  }
}

/** Returns the failure that an error becomes. Errors that are no `Failure` are printed. */
export function toFailure(error) {
  try {
    if (error instanceof Failure) return { code: String(error.code), message: String(error.message) };
    console.error(error);
    return { code: "exception", message: describe(error) };
  } catch {
    return { code: "exception", message: "an object was thrown that cannot be described" };
  }
}

/** Says in one line what was thrown, and where in the author's source. */
function describe(error) {
  const place = placeOf(error) ? `at ${placeOf(error)}` : entryName() ? `in ${entryName()}` : "";
  return `${messageOf(error)} ${place}`.trimEnd();
}

/** Says what was thrown: the error's type and message. */
export function messageOf(error) {
  if (!(error instanceof Error)) return `a ${typeof error} was thrown: ${String(error)}`;
  const text = error.message ? `${error.name}: ${error.message}` : String(error.name);
  return text + (hint(error) ?? "");
}

function hint(error) {
  if (error.message === "out of memory") return " (the engine reached the worker's limit memory_bytes)";
  if (/stack overflow|call stack size/i.test(error.message)) return " (the recursion is too deep, or has no end)";
  return undefined;
}
