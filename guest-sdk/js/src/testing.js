// Unit tests for workers under `node --test`: the worker's file runs as it is, over a double of
// the host in memory.
import { append, double as contents, entry, reset } from "./host/double.js";
import { FetchGlobals } from "./fetch.js";
import { Failure } from "./failure.js";
import { Input } from "./input.js";
import { toOutput } from "./output.js";
import { toRaw, toRequest } from "./web.js";
import { BYTES, JSON_TYPE, TEXT, isBytes, toBytes, toJson, toText } from "./bytes.js";

// Node 18 has Web Crypto, but not as a global.
globalThis.crypto ??= (await import("node:crypto")).webcrypto;

/** The answer of a turn. */
export class Answer {
  constructor({ contentType, body }) {
    this.contentType = contentType;
    this.body = body;
  }

  /** Returns the body as text. */
  text() {
    return toText(this.body);
  }

  /** Returns the body's JSON value. */
  json() {
    return JSON.parse(this.text());
  }
}

/** What a test sets and looks at. Each test begins with `double.reset()`. */
export const double = {
  reset,

  /** The worker's keys and values, as a `Map` of bytes. */
  get state() {
    return contents.state;
  },

  /** All emitted events in order, with those of failed turns. */
  get events() {
    return contents.events.map((event) => new Event(event));
  },

  /** The files under `/data`, as a `Map` of bytes by path. */
  get files() {
    return contents.files;
  },

  get config() {
    return contents.config;
  },

  /** Replaces the config bundle. */
  set config(values) {
    contents.config = { ...values };
  },

  get attempt() {
    return contents.attempt;
  },

  /** Sets `context.attempt`, which is 1 by default. */
  set attempt(number) {
    contents.attempt = number;
  },

  get remainingMs() {
    return contents.remainingMs;
  },

  /** Sets `context.remainingMs`, which is 30,000 by default and does not pass by itself. */
  set remainingMs(ms) {
    contents.remainingMs = ms;
  },

  /** Sets `context.runtimeId` and `context.workerId`. */
  setIdentity(runtimeId, workerId) {
    Object.assign(contents, { runtimeId, workerId });
  },

  /** Sets the function that answers `fetch()`: it gets `{ method, url, headers, body }`. */
  set fetch(answer) {
    contents.answer = answer && ((request) => responseOf(answer(request)));
  },
};

/** An emitted event. */
class Event extends Answer {
  constructor(event) {
    super(event);
    this.kind = event.kind;
  }
}

function responseOf({ status = 200, headers = {}, body = "" }) {
  const pairs = Array.isArray(headers) ? headers : Object.entries(headers);
  return { status, headers: pairs, body: toBytes(typeof body === "string" || isBytes(body) ? body : toJson(body, "the body"), "the body") };
}

/** Returns an input of text, bytes or a value as JSON. */
function inputOf(body, contentType) {
  if (typeof body === "string") return new Input(contentType ?? TEXT, toBytes(body));
  if (isBytes(body)) return new Input(contentType ?? BYTES, toBytes(body));
  return new Input(contentType ?? JSON_TYPE, toBytes(toJson(body, "the input's body")));
}

/** Runs with the `fetch()` of the SDK in the place of Node's. */
async function withFetch(run) {
  const native = Object.fromEntries(Object.keys(FetchGlobals).map((name) => [name, globalThis[name]]));
  Object.assign(globalThis, FetchGlobals);
  try {
    return await run();
  } finally {
    Object.assign(globalThis, native);
  }
}

function begin(input) {
  contents.emitted = [];
  contents.inputs += 1;
  contents.inputId = `00000000-0000-7000-8000-${String(contents.inputs).padStart(12, "0")}`;
  append(entry("input", undefined, input.contentType, input.body));
  return new Map(contents.state);
}

function end(kind, contentType, body) {
  append(...contents.emitted, entry(kind, undefined, contentType, body));
  contents.emitted = [];
  contents.inputId = undefined;
}

function toFailure(error) {
  if (error instanceof Failure) return error;
  const text = error instanceof Error ? `${error.name}: ${error.message}` : `a ${typeof error} was thrown: ${String(error)}`;
  return new Failure("exception", text, { cause: error });
}

/**
 * Runs one turn as the host does: with an input id, a new set of events, and a rollback of the
 * state if the worker fails. Events stay. A failure rejects with the `Failure`; any other error
 * rejects with one of the code `exception`, whose `cause` is the error.
 */
export async function send(worker, body = "", contentType = undefined) {
  const input = inputOf(body, contentType);
  const before = begin(input);
  try {
    const output = await withFetch(async () => toOutput(await worker.handle(input)));
    end("output", output.contentType, output.body);
    return new Answer(output);
  } catch (error) {
    contents.state = before;
    const failure = toFailure(error);
    end("failure", TEXT, toBytes(`${failure.code}: ${failure.message}`));
    throw failure;
  }
}

/**
 * Passes one request to an HTTP worker as the host does, with a rollback of the state if it fails.
 * `init` has what the second argument of `new Request()` has. Returns the `Response` that a client
 * gets. A failure rejects as that of `send` does.
 */
export async function respond(worker, path = "/", init = {}) {
  const before = new Map(contents.state);
  contents.emitted = [];
  try {
    return await withFetch(async () => {
      const asked = new FetchGlobals.Request(new URL(path, "http://localhost"), init);
      const { pathname, search } = new URL(asked.url);
      const headers = [...asked.headers].map(([name, value]) => [name, toBytes(value)]);
      const raw = { method: asked.method, scheme: "http", authority: "localhost", pathWithQuery: pathname + search, headers, body: await asked.bytes() };
      const { status, headers: answered, body } = await toRaw(await worker.fetch(toRequest(raw)));
      const pairs = answered.map(([name, value]) => [name, toText(value)]);
      return new FetchGlobals.Response(body, { status, headers: pairs });
    });
  } catch (error) {
    contents.state = before;
    throw toFailure(error);
  } finally {
    append(...contents.emitted);
    contents.emitted = [];
  }
}

/** Calls the hook for a new instance, in which the state cannot be written. */
export async function connected(worker, reason = "created") {
  await withoutWrites(() => worker.connected?.(reason));
}

/** Calls the hook before an instance is dropped, in which the state cannot be written. */
export async function disconnecting(worker) {
  await withoutWrites(() => worker.disconnecting?.());
}

async function withoutWrites(run) {
  contents.stateWritable = false;
  try {
    await withFetch(async () => run());
  } finally {
    contents.stateWritable = true;
  }
}
