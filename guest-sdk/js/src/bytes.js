// Bodies and values as bytes.

export const TEXT = "text/plain; charset=utf-8";
export const JSON_TYPE = "application/json";
export const BYTES = "application/octet-stream";

const encoder = () => new TextEncoder();

/** Says whether a value is bytes: an `ArrayBuffer` or a view of one. */
export function isBytes(value) {
  return value instanceof ArrayBuffer || ArrayBuffer.isView(value);
}

/** Returns the bytes of text or of a buffer. `what` is the subject of the error. */
export function toBytes(value, what) {
  if (typeof value === "string") return encoder().encode(value);
  if (value instanceof Uint8Array) return value;
  if (value instanceof ArrayBuffer) return new Uint8Array(value);
  if (ArrayBuffer.isView(value)) return new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
  throw new TypeError(`${what} is ${nameOf(value)}, and has to be text or bytes (a Uint8Array)`);
}

/** Returns the text of bytes, or throws a `TypeError` where they are not UTF-8. */
export function toText(bytes) {
  return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
}

/** Returns a value as JSON text. */
export function toJson(value, what) {
  const text = JSON.stringify(value);
  if (text === undefined) throw new TypeError(`${what} is ${nameOf(value)}, which JSON cannot express`);
  return text;
}

/** Names a value's type for a message. */
export function nameOf(value) {
  if (value === null) return "null";
  if (value === undefined) return "undefined";
  if (typeof value === "function") return "a function";
  if (typeof value !== "object") return `a ${typeof value}`;
  const name = value.constructor?.name;
  return name ? `an object (${name})` : "an object";
}
