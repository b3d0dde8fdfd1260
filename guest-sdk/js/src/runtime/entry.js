// The component: exports `handler` and `lifecycle`, and gives the worker's bundle what it needs.
import "./globals.js";
import * as guest from "../index.js";
import { Input } from "../input.js";
import { toOutput } from "../output.js";
import { drain, takeUnhandled } from "../globals/promise.js";
import { withoutTime } from "./dates.js";
import { mapStack, placeOf, setLines } from "./lines.js";
import { phase } from "./phase.js";
import { writeEarly } from "./system.js";
import { finish, messageOf, run, toFailure } from "./turn.js";

/** The author's worker, once its bundle is loaded. */
let worker;
/** The reason of a `connected()` that failed, and has to be called again. */
let unconnected;

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

/** Returns the worker of the entry's exports, or says what is wrong with them. */
function checked(exports) {
  const value = exports?.default;
  const wanted = "write `export default { async handle(input) { … } }`";
  if (value === undefined) throw new TypeError(`the entry has no default export: ${wanted}`);
  if (value === null || (typeof value !== "object" && typeof value !== "function")) throw new TypeError(`the default export is a ${typeof value}: ${wanted}`);
  if (value.handle === undefined) throw new TypeError(`the default export has no handle(): ${wanted}`);
  for (const name of ["handle", "connected", "disconnecting"]) {
    if (value[name] !== undefined && typeof value[name] !== "function") throw new TypeError(`${name} of the default export is a ${typeof value[name]}, and has to be a function: ${wanted}`);
  }
  return value;
}

/** Loads the bundle where a built component has none; the runner sets it. */
let prepare = () => {};

export function setPrepare(load) {
  prepare = load;
}

/** Says that the modules are loaded, and that an instance is about to begin. */
function begin() {
  try {
    if (!worker) prepare();
  } finally {
    phase.live = true;
    writeEarly();
  }
}

function connect(reason) {
  unconnected = reason;
  if (worker.connected) run(() => worker.connected(reason));
  unconnected = undefined;
}

export const handler = {
  handle(input) {
    try {
      begin();
      if (unconnected !== undefined) connect(unconnected);
      return toOutput(run(() => worker.handle(new Input(input.contentType, input.body))));
    } catch (error) {
      throw toFailure(error);
    } finally {
      finish();
    }
  },
};

export const lifecycle = {
  /** An error in the hook is printed; the next turn calls it again, and fails where it fails. */
  connected(reason) {
    try {
      unconnected = reason;
      begin();
      connect(reason);
    } catch (error) {
      console.error("connected() failed:", error);
    } finally {
      finish();
    }
  },

  disconnecting() {
    try {
      begin();
      if (worker.disconnecting) run(() => worker.disconnecting());
    } catch (error) {
      console.error("disconnecting() failed:", error);
    } finally {
      finish();
    }
  },
};

