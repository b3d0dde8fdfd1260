// Request.
import { FetchError } from "../failure.js";
import { Body, bodyOf, copyBody } from "./body.js";
import { Headers, TOKEN } from "./headers.js";

const METHODS = ["DELETE", "GET", "HEAD", "OPTIONS", "POST", "PUT"];

function methodOf(method) {
  const text = String(method ?? "GET");
  if (!TOKEN.test(text)) throw new TypeError(`${JSON.stringify(text)} is not a method of HTTP`);
  return METHODS.includes(text.toUpperCase()) ? text.toUpperCase() : text;
}

/** A request. */
export class Request extends Body {
  constructor(input, init = {}) {
    const from = input instanceof Request ? input : undefined;
    const own = init.body === undefined && from ? { bytes: copyBody(from), type: undefined } : bodyOf(init.body);
    super(own.bytes);
    this.url = from ? from.url : addressOf(input);
    this.method = methodOf(init.method ?? from?.method);
    this.headers = new Headers(init.headers ?? from?.headers);
    this.redirect = init.redirect ?? from?.redirect ?? "follow";
    this.signal = init.signal ?? from?.signal;
    if (own.bytes && ["GET", "HEAD"].includes(this.method)) throw new TypeError(`a request with the method ${this.method} has no body`);
    if (own.type && !this.headers.has("content-type")) this.headers.set("content-type", own.type);
  }

  clone() {
    return new Request(this);
  }
}

function addressOf(input) {
  try {
    return new URL(String(input)).href;
  } catch {
    throw new FetchError("fetch-invalid-request", `the request is not valid: ${JSON.stringify(String(input))} is not an absolute URL`);
  }
}
