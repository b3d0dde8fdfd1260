// Installs what authors expect of any JavaScript and the engine lacks. Imported before any of the
// author's modules.
import { AbortController, AbortSignal, Event, EventTarget } from "../globals/events.js";
import { TextDecoder, TextEncoder } from "../globals/text.js";
import { Timers } from "../globals/timers.js";
import { URL, URLSearchParams } from "../globals/url.js";
import { makeConsole } from "../globals/console.js";
import { makeCrypto, randomFloat } from "../globals/crypto.js";
import { structuredClone } from "../globals/clone.js";
import { JobPromise, enqueue, fromAsync, refuseNative } from "../globals/promise.js";
import { FetchGlobals } from "../fetch.js";
import { mapStack } from "./lines.js";
import { phase, requireTurn } from "./phase.js";
import { err, nowMs, out, randomBytes } from "./system.js";

export const timers = new Timers(nowMs);

function addTimer(name, repeats) {
  return (run, delay, ...args) => {
    if (!phase.live) requireTurn(`${name}()`);
    return timers.add(run, delay, args, repeats);
  };
}

/** The seed of the numbers that are drawn while the modules are loaded; a build repeats them. */
let seed = 1;

function random() {
  if (phase.live) return randomFloat(randomBytes);
  seed = (seed * 48271) % 2147483647;
  return seed / 2147483647;
}

function queueMicrotask(run) {
  if (typeof run !== "function") throw new TypeError("the argument of queueMicrotask has to be a function");
  enqueue(run);
}

const mapped = (write) => (text) => write(mapStack(text));

const VALUES = {
  Promise: JobPromise,
  queueMicrotask,
  TextEncoder,
  TextDecoder,
  URL,
  URLSearchParams,
  Event,
  EventTarget,
  AbortController,
  AbortSignal,
  structuredClone,
  crypto: makeCrypto(randomBytes),
  console: makeConsole({ out: mapped(out), err: mapped(err), clock: nowMs }),
  performance: { now: nowMs, timeOrigin: 0, mark() {}, measure() {} },
  setTimeout: addTimer("setTimeout", false),
  setInterval: addTimer("setInterval", true),
  setImmediate: (run, ...args) => VALUES.setTimeout(run, 0, ...args),
  clearTimeout: (id) => timers.remove(id),
  clearInterval: (id) => timers.remove(id),
  clearImmediate: (id) => timers.remove(id),
  ...FetchGlobals,
  self: globalThis,
};

refuseNative(globalThis.Promise);
for (const [name, value] of Object.entries(VALUES)) {
  Object.defineProperty(globalThis, name, { value, writable: true, configurable: true });
}
Object.defineProperty(Math, "random", { value: random, writable: true, configurable: true });
Object.defineProperty(Array, "fromAsync", { value: fromAsync, writable: true, configurable: true });
Error.stackTraceLimit = 30;
