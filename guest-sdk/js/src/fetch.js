// fetch() over `skep:worker/fetch`: whole bodies, one call of the host for each request. The host
// follows no redirect; this module does.
import * as host from "#host";
import { FetchError } from "./failure.js";
import { isBytes, toBytes } from "./bytes.js";
import { timeLeft } from "./globals/events.js";

const MOST_REDIRECTS = 20;
const REDIRECTS = [301, 302, 303, 307, 308];
const NO_BODY = [101, 204, 205, 304];
const METHODS = ["DELETE", "GET", "HEAD", "OPTIONS", "POST", "PUT"];
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const FORM = "application/x-www-form-urlencoded;charset=UTF-8";

const MESSAGES = {
  "invalid-request": (reason) => `the request is not valid: ${reason}`,
  denied: (reason) => `the request is not allowed: ${reason}`,
  "too-large": (limit) => `the response is longer than ${limit} bytes`,
  "timed-out": () => "the request took too long",
  failed: (reason) => `the request failed: ${reason}`,
};

/** The fields of a request or response. Names are not case-sensitive, and are kept in lower case. */
export class Headers {
  #fields = [];

  constructor(init = undefined) {
    if (init === undefined || init === null) return;
    const pairs = typeof init[Symbol.iterator] === "function" ? init : Object.entries(init);
    for (const [name, value] of pairs) this.append(name, value);
  }

  append(name, value) {
    this.#fields.push([nameOf(name), valueOf(value)]);
  }

  set(name, value) {
    this.delete(name);
    this.append(name, value);
  }

  get(name) {
    const key = nameOf(name);
    const values = this.#fields.filter(([other]) => other === key).map(([, value]) => value);
    return values.length > 0 ? values.join(", ") : null;
  }

  getSetCookie() {
    return this.#fields.filter(([name]) => name === "set-cookie").map(([, value]) => value);
  }

  has(name) {
    const key = nameOf(name);
    return this.#fields.some(([other]) => other === key);
  }

  delete(name) {
    const key = nameOf(name);
    this.#fields = this.#fields.filter(([other]) => other !== key);
  }

  forEach(run, receiver) {
    for (const [name, value] of this) run.call(receiver, value, name, this);
  }

  *entries() {
    const names = [...new Set(this.#fields.map(([name]) => name))].sort();
    for (const name of names) {
      if (name !== "set-cookie") yield [name, this.get(name)];
      else for (const value of this.getSetCookie()) yield [name, value];
    }
  }

  *keys() {
    for (const [name] of this) yield name;
  }

  *values() {
    for (const [, value] of this) yield value;
  }

  [Symbol.iterator]() {
    return this.entries();
  }
}

function nameOf(name) {
  if (!TOKEN.test(String(name))) throw new TypeError(`${JSON.stringify(String(name))} is not a name of a header`);
  return String(name).toLowerCase();
}

function valueOf(value) {
  const text = String(value).replace(/^[\t\n\r ]+|[\t\n\r ]+$/g, "");
  if (/[\0\r\n]/.test(text)) throw new TypeError("the value of a header has a line break or a null character");
  return text;
}

/** Returns the bytes of a body and the media type that it has by itself. */
function bodyOf(body) {
  if (body === undefined || body === null) return { bytes: undefined, type: undefined };
  if (typeof body === "string") return { bytes: toBytes(body), type: "text/plain;charset=UTF-8" };
  if (body instanceof URLSearchParams) return { bytes: toBytes(String(body)), type: FORM };
  if (isBytes(body)) return { bytes: Uint8Array.from(toBytes(body)), type: undefined };
  return { bytes: toBytes(String(body)), type: "text/plain;charset=UTF-8" };
}

/** The body of a request or response: it is complete, and is read once. */
class Body {
  #bytes;
  #used = false;

  constructor(bytes) {
    this.#bytes = bytes;
  }

  get bodyUsed() {
    return this.#used;
  }

  /** Returns a copy of the bytes for a clone. */
  static copy(body) {
    if (body.#used) throw new TypeError("the body was read already");
    return body.#bytes && Uint8Array.from(body.#bytes);
  }

  #take() {
    if (this.#used) throw new TypeError("the body was read already; use clone() to read it twice");
    this.#used = this.#bytes !== undefined;
    return this.#bytes ?? new Uint8Array();
  }

  async bytes() {
    return this.#take();
  }

  async arrayBuffer() {
    return Uint8Array.from(this.#take()).buffer;
  }

  async text() {
    return new TextDecoder().decode(this.#take());
  }

  async json() {
    return JSON.parse(new TextDecoder().decode(this.#take()));
  }
}

const copyBody = Body.copy;
delete Body.copy;

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

/** A response. */
export class Response extends Body {
  constructor(body = null, { status = 200, statusText = "", headers = undefined } = {}) {
    const own = bodyOf(body);
    super(own.bytes);
    if (!(status >= 200 && status <= 599)) throw new RangeError(`the status ${status} is not from 200 to 599`);
    this.status = status;
    this.statusText = statusText;
    this.headers = new Headers(headers);
    this.url = "";
    this.redirected = false;
    this.type = "default";
    if (own.type && !this.headers.has("content-type")) this.headers.set("content-type", own.type);
  }

  get ok() {
    return this.status >= 200 && this.status <= 299;
  }

  clone() {
    const copy = new Response(copyBody(this), this);
    return Object.assign(copy, { url: this.url, redirected: this.redirected, type: this.type });
  }

  static json(value, init = {}) {
    const headers = new Headers(init.headers);
    if (!headers.has("content-type")) headers.set("content-type", "application/json");
    return new Response(JSON.stringify(value), { ...init, headers });
  }
}

/** Sends one request of the host. */
function send(request) {
  try {
    return host.http.send(request);
  } catch (error) {
    const { tag, val } = error?.payload ?? {};
    if (!(tag in MESSAGES)) throw error;
    throw new FetchError(`fetch-${tag}`, MESSAGES[tag](val));
  }
}

function responseOf(raw, url, redirected) {
  const body = NO_BODY.includes(raw.status) ? null : Uint8Array.from(raw.body);
  const response = new Response(body, { status: Math.min(599, Math.max(200, raw.status)), headers: raw.headers });
  return Object.assign(response, { url, redirected, type: "basic" });
}

/** Returns the request that follows a redirect, as browsers make it. */
function redirected(request, status, location) {
  const from = new URL(request.url);
  let to;
  try {
    to = new URL(location, from);
  } catch {
    throw new FetchError("fetch-failed", `the request failed: the redirect to ${JSON.stringify(location)} is not a URL`);
  }
  if (to.hash === "") to.hash = from.hash;
  const becomesGet = (status === 303 && !["GET", "HEAD"].includes(request.method)) || ([301, 302].includes(status) && request.method === "POST");
  const dropped = [...(becomesGet ? ["content-encoding", "content-language", "content-location", "content-type", "content-length"] : []), ...(to.origin === from.origin ? [] : ["authorization", "cookie", "proxy-authorization"])];
  return {
    ...request,
    url: to.href,
    method: becomesGet ? "GET" : request.method,
    body: becomesGet ? new Uint8Array() : request.body,
    headers: request.headers.filter(([name]) => !dropped.includes(name)),
  };
}

/** Sends a request and the redirects that its answer asks for. The host's call is not concurrent. */
export async function fetch(input, init = undefined) {
  const asked = new Request(input, init);
  const { signal } = asked;
  signal?.throwIfAborted();
  let request = { method: asked.method, url: asked.url, headers: [...asked.headers], body: await asked.bytes() };
  for (let count = 0; ; count++) {
    const left = signal && timeLeft(signal);
    const raw = send({ ...request, url: request.url.replace(/#.*$/s, ""), timeoutMs: left === undefined ? null : Math.max(1, Math.ceil(left)) });
    const location = REDIRECTS.includes(raw.status) && raw.headers.find(([name]) => name.toLowerCase() === "location")?.[1];
    if (!location || asked.redirect === "manual") return responseOf(raw, request.url, count > 0);
    if (asked.redirect === "error") throw new FetchError("fetch-failed", `the request failed: ${request.url} redirects, and redirect is "error"`);
    if (count === MOST_REDIRECTS) throw new FetchError("fetch-failed", `the request failed: more than ${MOST_REDIRECTS} redirects`);
    request = redirected(request, raw.status, location);
  }
}

export const FetchGlobals = { fetch, Headers, Request, Response };
