// fetch() over `skep:worker/fetch`: whole bodies, one call of the host for each request. The host
// follows no redirect; this module does.
import * as host from "#host";
import { FetchError } from "./failure.js";
import { Headers } from "./fetch/headers.js";
import { Request } from "./fetch/request.js";
import { Response } from "./fetch/response.js";
import { timeLeft } from "./globals/events.js";

const MOST_REDIRECTS = 20;
const MOST_MS = 0xffff_ffff;
const REDIRECTS = [301, 302, 303, 307, 308];
const NO_BODY = [101, 204, 205, 304];

const MESSAGES = {
  "invalid-request": (reason) => `the request is not valid: ${reason}`,
  denied: (reason) => `the request is not allowed: ${reason}`,
  "too-large": (limit) => `the response is longer than ${limit} bytes`,
  "timed-out": () => "the request took too long",
  failed: (reason) => `the request failed: ${reason}`,
};

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

/** Returns the milliseconds that a signal leaves for a request, or `null`. */
function timeoutOf(signal) {
  const left = signal && timeLeft(signal);
  return left === undefined ? null : Math.min(MOST_MS, Math.max(1, Math.ceil(left)));
}

/** Sends a request and the redirects that its answer asks for. The host's call is not concurrent. */
export async function fetch(input, init = undefined) {
  const asked = new Request(input, init);
  const { signal } = asked;
  signal?.throwIfAborted();
  let request = { method: asked.method, url: asked.url, headers: [...asked.headers], body: await asked.bytes() };
  for (let count = 0; ; count++) {
    const raw = send({ ...request, url: request.url.replace(/#.*$/s, ""), timeoutMs: timeoutOf(signal) });
    const location = REDIRECTS.includes(raw.status) && raw.headers.find(([name]) => name.toLowerCase() === "location")?.[1];
    if (!location || asked.redirect === "manual") return responseOf(raw, request.url, count > 0);
    if (asked.redirect === "error") throw new FetchError("fetch-failed", `the request failed: ${request.url} redirects, and redirect is "error"`);
    if (count === MOST_REDIRECTS) throw new FetchError("fetch-failed", `the request failed: more than ${MOST_REDIRECTS} redirects`);
    request = redirected(request, raw.status, location);
  }
}

export const FetchGlobals = { fetch, Headers, Request, Response };
