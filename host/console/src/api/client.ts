// Requests to the host's API: typed by its OpenAPI document, failing with a `Problem` or
// `Unreachable`. A read that finds the session ended waits for the next login and then repeats
// itself; a change is never repeated, since another person may be the one who logs in.

import { heard, missed } from "./connection";
import { Problem, Unreachable, isAbort } from "./problem";
import type { components, paths } from "./schema";
import { ended, loggedInAgain } from "./session";

/** The types of the API's values by name, such as `Schemas["WorkerEntry"]`. */
export type Schemas = components["schemas"];

export type Method = "get" | "post" | "put" | "patch" | "delete";

/** Values of a query; empty ones are left out, lists repeat the name. */
export type Query = Record<string, string | number | boolean | null | undefined | string[]>;

export interface Options {
  /** Values for the `{names}` of the path. */
  path?: Record<string, string>;
  query?: Query;
  headers?: Record<string, string>;
  /** Sent as JSON. */
  json?: unknown;
  /** Sent as it is. */
  body?: BodyInit;
  signal?: AbortSignal | undefined;
}

type Operation<P extends keyof paths, M extends Method> = paths[P][M & keyof paths[P]];
type Json<R> = R extends { content: { "application/json": infer T } } ? T : undefined;
type Successes<R> = { [S in keyof R]: S extends 200 | 201 | 202 | 204 ? Json<R[S]> : never }[keyof R];

/** The value that a successful operation answers. */
export type Answer<P extends keyof paths, M extends Method> =
  Operation<P, M> extends { responses: infer R } ? Successes<R> : unknown;

/** Calls an operation of the OpenAPI document: `call("get", "/api/runtimes")`. */
export function call<P extends keyof paths, M extends Method & keyof paths[P]>(
  method: M,
  path: P,
  options: Options = {},
): Promise<Answer<P, M>> {
  return request<Answer<P, M>>(method, path, options);
}

/** Sends a request and reads its JSON. For operations that the document has, prefer `call`. */
export async function request<T>(method: Method, path: string, options: Options = {}): Promise<T> {
  const response = await send(method, path, options);
  if (response.status === 204) return undefined as T;
  return (await response.json()) as T;
}

/** Sends a request and returns its successful response, whose body is still to be read. */
export async function send(method: Method, path: string, options: Options = {}): Promise<Response> {
  for (;;) {
    const response = await attempt(method, path, options);
    if (response.ok) return response;
    const problem = await Problem.of(response);
    if (problem.status !== 401) throw problem;
    ended();
    if (method !== "get") throw problem;
    await loggedInAgain(options.signal);
  }
}

async function attempt(method: Method, path: string, options: Options): Promise<Response> {
  const headers: Record<string, string> = { ...options.headers };
  let body = options.body ?? null;
  if (options.json !== undefined) {
    headers["content-type"] = "application/json";
    body = JSON.stringify(options.json);
  }
  try {
    const response = await fetch(url(path, options), {
      method: method.toUpperCase(),
      headers,
      body,
      signal: options.signal ?? null,
      credentials: "same-origin",
      redirect: "error",
    });
    heard();
    return response;
  } catch (error) {
    if (isAbort(error) || options.signal?.aborted) throw error;
    missed();
    throw new Unreachable();
  }
}

/** Fills in a path and its query. Names keep their slashes only as `%2F`. */
export function url(path: string, { path: names = {}, query = {} }: Options = {}): string {
  const filled = path.replace(/\{(\w+)\}/g, (_, name: string) => {
    const value = names[name];
    if (value === undefined) throw new Error(`no value for {${name}} of ${path}`);
    return encodeURIComponent(value);
  });
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (Array.isArray(value)) for (const one of value) parameters.append(name, one);
    else if (value !== undefined && value !== null && value !== "") {
      parameters.set(name, String(value));
    }
  }
  const text = parameters.toString();
  return text ? `${filled}?${text}` : filled;
}

/** The base of a worker's routes. */
export function workerPath(worker: { runtime_id: string; worker_id: string }): string {
  const [runtime, id] = [worker.runtime_id, worker.worker_id].map(encodeURIComponent);
  return `/api/runtimes/${runtime}/workers/${id}`;
}

/** A new key that makes a repeated change count once. */
export function idempotencyKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
