// The worker's durable keys and values. All writes of a turn are committed together with its
// outcome, or not at all; reads see the turn's own writes.
import * as host from "#host";
import { StateError } from "./failure.js";
import { toBytes, toJson, toText } from "./bytes.js";

const MESSAGES = {
  "invalid-key": () => "the state key is empty or longer than 512 bytes",
  "too-large": (limit) => `the write would take the state past its limit of ${limit} bytes`,
  unavailable: (doing) => `the state is unavailable: ${doing}`,
};

function call(run) {
  try {
    return run();
  } catch (error) {
    const { tag, val } = error?.payload ?? error ?? {};
    if (!(tag in MESSAGES)) throw error;
    throw new StateError(`state-${tag}`, MESSAGES[tag](val));
  }
}

function checked(key) {
  if (typeof key !== "string") throw new TypeError("a state key has to be text");
  return key;
}

export const state = {
  /** Returns the bytes of a key, or `undefined`. */
  get(key) {
    return call(() => host.state.get(checked(key))) ?? undefined;
  },

  /** Returns the text of a key, or `undefined`. Bytes that are not UTF-8 are `state-not-text`. */
  getText(key) {
    const value = state.get(key);
    if (value === undefined) return undefined;
    try {
      return toText(value);
    } catch {
      throw new StateError("state-not-text", "the state value is not text");
    }
  },

  /** Returns the JSON value of a key, or `undefined`. Other text is `state-not-json`. */
  getJson(key) {
    const text = state.getText(key);
    if (text === undefined) return undefined;
    try {
      return JSON.parse(text);
    } catch (error) {
      throw new StateError("state-not-json", `the state value of ${JSON.stringify(key)} is not JSON: ${error.message}`);
    }
  },

  /** Sets a key to text or bytes. */
  set(key, value) {
    const bytes = toBytes(value, `the state value of ${JSON.stringify(key)}`);
    call(() => host.state.set(checked(key), bytes));
  },

  /** Sets a key to a value as JSON. */
  setJson(key, value) {
    state.set(key, toJson(value, `the state value of ${JSON.stringify(key)}`));
  },

  /** Removes a key. Returns true if it existed. */
  delete(key) {
    return call(() => host.state.delete(checked(key)));
  },

  /** Lists the keys that begin with `prefix`, in ascending order of their bytes. */
  *keys(prefix = "") {
    let cursor;
    do {
      const page = call(() => host.state.list(prefix, cursor ?? null));
      yield* page.keys;
      cursor = page.next;
    } while (cursor !== null && cursor !== undefined);
  },
};
