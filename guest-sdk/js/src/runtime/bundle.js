// The worker's bundle: what it needs of the SDK, and the author's worker once it is loaded.
import "./globals.js";
import * as guest from "../index.js";
import { drain, takeUnhandled } from "../globals/promise.js";
import { withoutTime } from "./dates.js";
import { mapStack, placeOf, setLines } from "./lines.js";
import { phase } from "./phase.js";
import { writeEarly } from "./system.js";
import { messageOf } from "./turn.js";

/** The author's worker, once its bundle is loaded. */
let worker;
/** Returns the worker of the entry's exports, or says what is wrong with them; the entry sets it. */
let checked;
/** Loads the bundle where a built component has none; the runner sets it. */
let prepare = () => {};

/** What a bundle finds in `globalThis.__skep`. */
const bridge = {
  guest,
  interface: (name) => phase.interfaces[name],

  /** Loads a bundle: `define` evaluates the author's modules, and returns the entry's exports. */
  load(table, define) {
    const { live } = phase;
    setLines(table);
    phase.live = false;
    try {
      const loaded = withoutTime(() => {
        const value = checked(define());
        drain();
        return value;
      });
      for (const reason of takeUnhandled()) throw reason;
      worker = loaded;
    } finally {
      phase.live = live;
    }
  },

  /** Ends a build, and tells it what was thrown and where. */
  refuse(error) {
    const mark = { message: messageOf(error), place: placeOf(error), stack: mapStack(String(error?.stack ?? "")) };
    throw new Error(`@skep ${JSON.stringify(mark)}`);
  },
};

Object.defineProperty(globalThis, "__skep", { value: bridge });

/**
 * Sets what a worker has to have: a function of the name `called`, and `optional` ones. `wanted` is
 * the shortest one that has it.
 */
export function expect({ called, optional, wanted }) {
  checked = (exports) => {
    const value = exports?.default;
    if (value === undefined) throw new TypeError(`the entry has no default export: ${wanted}`);
    if (value === null || (typeof value !== "object" && typeof value !== "function")) throw new TypeError(`the default export is a ${typeof value}: ${wanted}`);
    if (value[called] === undefined) throw new TypeError(`the default export has no ${called}(): ${wanted}`);
    for (const name of [called, ...optional]) {
      if (value[name] !== undefined && typeof value[name] !== "function") throw new TypeError(`${name} of the default export is a ${typeof value[name]}, and has to be a function: ${wanted}`);
    }
    return value;
  };
}

export function setPrepare(load) {
  prepare = load;
}

/** Says that the modules are loaded, and that an instance is about to begin. Returns the worker. */
export function begin() {
  try {
    if (!worker) prepare();
  } finally {
    phase.live = true;
    writeEarly();
  }
  return worker;
}
