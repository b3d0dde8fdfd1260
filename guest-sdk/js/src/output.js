import { BYTES, JSON_TYPE, TEXT, isBytes, nameOf, toBytes, toJson } from "./bytes.js";

const WANTED = "return text, bytes, { contentType, body } or a value that JSON can express";

/** Makes the answer of a turn from the value that `handle()` returned. */
export function toOutput(value) {
  if (typeof value === "string") return { contentType: TEXT, body: toBytes(value) };
  if (isBytes(value)) return { contentType: BYTES, body: toBytes(value) };
  if (value === undefined) throw new TypeError(`handle() returned nothing: ${WANTED}`);
  if (isOutput(value)) return { contentType: value.contentType, body: toBytes(value.body, "the body that handle() returned") };
  if (typeof value === "function" || typeof value === "symbol" || typeof value === "bigint") {
    throw new TypeError(`handle() returned ${nameOf(value)}: ${WANTED}`);
  }
  return { contentType: JSON_TYPE, body: toBytes(toJson(value, "the value that handle() returned")) };
}

function isOutput(value) {
  return value !== null && typeof value === "object" && typeof value.contentType === "string" && "body" in value;
}
