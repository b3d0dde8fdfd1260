// structuredClone, by the algorithm of HTML for the values that a worker can have.

const ERRORS = ["Error", "EvalError", "RangeError", "ReferenceError", "SyntaxError", "TypeError", "URIError"];

function refuse(value) {
  const text = typeof value === "symbol" ? value.toString() : typeof value === "function" ? String(value) : "#<" + (value?.constructor?.name ?? "Object") + ">";
  throw new DOMException(`${text} could not be cloned.`, "DataCloneError");
}

/** Copies a value deeply. `transfer` detaches the listed buffers from their owner. */
export function structuredClone(value, options = {}) {
  const seen = new Map();
  for (const item of options?.transfer ?? []) {
    if (!(item instanceof ArrayBuffer)) refuse(item);
    if (seen.has(item)) throw new DOMException("an ArrayBuffer is transferred twice", "DataCloneError");
    seen.set(item, null);
  }
  for (const buffer of [...seen.keys()]) seen.set(buffer, buffer.transfer ? buffer.transfer() : buffer.slice(0));
  return copy(value, seen);
}

function copy(value, seen) {
  if (typeof value === "symbol" || typeof value === "function") refuse(value);
  if (typeof value !== "object" || value === null) return value;
  if (seen.has(value)) return seen.get(value);
  const made = copyExotic(value, seen);
  if (made !== undefined) return made;
  const result = Array.isArray(value) ? new Array(value.length) : {};
  seen.set(value, result);
  for (const key of Object.keys(value)) define(result, key, copy(value[key], seen));
  return result;
}

function define(target, key, value) {
  Object.defineProperty(target, key, { value, writable: true, enumerable: true, configurable: true });
}

/** Copies an object with internal state. Returns `undefined` for any other. */
function copyExotic(value, seen) {
  const keep = (result) => {
    seen.set(value, result);
    return result;
  };
  if (value instanceof Boolean || value instanceof Number || value instanceof String || value instanceof BigInt) return keep(Object(value.valueOf()));
  if (value instanceof Symbol) refuse(value);
  if (value instanceof Date) return keep(new Date(value.getTime()));
  if (value instanceof RegExp) return keep(new RegExp(value.source, value.flags));
  if (value instanceof ArrayBuffer) return keep(value.slice(0));
  if (ArrayBuffer.isView(value)) return keep(copyView(value, seen));
  if (value instanceof Map) return copyMap(value, seen, keep(new Map()));
  if (value instanceof Set) return copySet(value, seen, keep(new Set()));
  if (value instanceof Error) return copyError(value, seen, keep);
  if (value instanceof Promise || value instanceof WeakMap || value instanceof WeakSet || value instanceof WeakRef) refuse(value);
  return undefined;
}

function copyView(value, seen) {
  const buffer = copy(value.buffer, seen);
  const Kind = value.constructor;
  if (value instanceof DataView) return new DataView(buffer, value.byteOffset, value.byteLength);
  return new Kind(buffer, value.byteOffset, value.length);
}

function copyMap(value, seen, result) {
  for (const [key, item] of [...value]) result.set(copy(key, seen), copy(item, seen));
  return result;
}

function copySet(value, seen, result) {
  for (const item of [...value]) result.add(copy(item, seen));
  return result;
}

function copyError(value, seen, keep) {
  const name = ERRORS.includes(value.name) ? value.name : "Error";
  const error = keep(new globalThis[name]());
  if (Object.hasOwn(value, "message")) Object.defineProperty(error, "message", { value: String(value.message), writable: true, configurable: true });
  Object.defineProperty(error, "stack", { value: value.stack, writable: true, configurable: true });
  if (Object.hasOwn(value, "cause")) Object.defineProperty(error, "cause", { value: copy(value.cause, seen), writable: true, configurable: true });
  return error;
}
