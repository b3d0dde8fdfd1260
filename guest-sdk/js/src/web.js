// The requests of an HTTP worker, and its responses: `skep:worker/web` has both as plain records.
import { Request } from "./fetch/request.js";
import { Response } from "./fetch/response.js";
import { nameOf, toBytes } from "./bytes.js";

/** Returns the text of a header's value: UTF-8, or Latin-1 if it is none. */
function textOf(bytes) {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return Array.from(bytes, (byte) => String.fromCharCode(byte)).join("");
  }
}

/** Makes the request that a worker gets. Unlike one that is made by hand, a GET may have a body. */
export function toRequest({ method, scheme, authority, pathWithQuery, headers, body }) {
  const path = pathWithQuery.startsWith("/") ? pathWithQuery : `/${pathWithQuery}`;
  const request = new Request(`${scheme}://${authority}${path}`, { method: "POST", body: body.length > 0 ? body : undefined });
  request.method = method;
  request.headers.set("host", authority);
  for (const [name, value] of headers) request.headers.append(name, textOf(value));
  return request;
}

/** Returns the record of a response. */
export async function toRaw(response) {
  if (!(response instanceof Response)) {
    throw new TypeError(`fetch() returned ${response === undefined ? "nothing" : nameOf(response)}: return a Response`);
  }
  const body = await response.bytes();
  const headers = [...response.headers].map(([name, value]) => [name, toBytes(value, "the value of a header")]);
  return { status: response.status, headers, body };
}
