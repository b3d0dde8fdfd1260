// Dates while the worker's modules are loaded: the time is 0 then, so that the same source gives
// the same component, and no instance takes the build's time for its own.
import { phase } from "./phase.js";

const Native = Date;

function LoadDate(...args) {
  if (!new.target) return phase.live ? Native() : new Native(0).toString();
  const values = args.length === 0 && !phase.live ? [0] : args;
  return Reflect.construct(Native, values, new.target === LoadDate ? Native : new.target);
}
LoadDate.prototype = Native.prototype;
LoadDate.UTC = Native.UTC;
LoadDate.parse = Native.parse;
LoadDate.now = () => (phase.live ? Native.now() : 0);
Object.defineProperty(LoadDate, "name", { value: "Date", configurable: true });
Object.defineProperty(LoadDate, "length", { value: 7, configurable: true });

/** Runs a function under the loading date. A reference to it that is kept works in a turn too. */
export function withoutTime(run) {
  globalThis.Date = LoadDate;
  try {
    return run();
  } finally {
    globalThis.Date = Native;
  }
}
