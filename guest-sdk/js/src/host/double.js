// The host under Node: an in-memory double, on which a test runs. `@skep/guest/testing` is its
// public interface. It follows the rules that a worker can notice (keys, kinds, limits, rollback),
// but nothing is durable and there is no deadline.

/** The host's defaults. */
const STATE_BYTES = 64 * 1024 * 1024;
const EVENT_BYTES = 256 * 1024;
const EVENTS_PER_TURN = 10_000;
const KEY_BYTES = 512;
const PAGE = 1_000;

const encoder = new TextEncoder();

/** Throws an error of WIT as a component's import throws it. */
function refuse(tag, val) {
  throw Object.assign(new Error(tag), { payload: val === undefined ? { tag } : { tag, val } });
}

function refuseFile(reason) {
  throw Object.assign(new Error(reason), { payload: reason });
}

function initial() {
  return {
    runtimeId: "00000000-0000-7000-8000-000000000001",
    workerId: "00000000-0000-7000-8000-000000000002",
    attempt: 1,
    remainingMs: 30_000,
    config: {},
    state: new Map(),
    files: new Map(),
    folders: new Set(),
    entries: [],
    emitted: [],
    events: [],
    inputId: undefined,
    inputs: 0,
    stateWritable: true,
    answer: undefined,
  };
}

/** The contents of the double. */
export const double = initial();

/** Forgets everything. */
export function reset() {
  Object.assign(double, initial());
}

/** Makes an entry of the running turn; its `seq` is set when the turn ends. */
export function entry(kind, event, contentType, body) {
  return { seq: 0, atMs: Date.now(), kind, event, inputId: double.inputId, contentType, body: Uint8Array.from(body) };
}

/** Appends entries to the transcript. */
export function append(...entries) {
  for (const item of entries) double.entries.push({ ...item, seq: double.entries.length + 1 });
}

function compareKeys(a, b) {
  const [left, right] = [encoder.encode(a), encoder.encode(b)];
  for (let at = 0; at < Math.min(left.length, right.length); at++) {
    if (left[at] !== right[at]) return left[at] - right[at];
  }
  return left.length - right.length;
}

function checkKey(key) {
  const size = encoder.encode(key).length;
  if (size < 1 || size > KEY_BYTES) refuse("invalid-key");
  return size;
}

function checkWritable() {
  if (!double.stateWritable) refuse("unavailable", "state cannot be written outside of a turn");
}

export const state = {
  get(key) {
    checkKey(key);
    const value = double.state.get(key);
    return value && Uint8Array.from(value);
  },

  set(key, value) {
    const size = checkKey(key) + value.length;
    checkWritable();
    let others = 0;
    for (const [other, kept] of double.state) {
      if (other !== key) others += encoder.encode(other).length + kept.length;
    }
    if (others + size > STATE_BYTES) refuse("too-large", STATE_BYTES);
    double.state.set(key, Uint8Array.from(value));
  },

  delete(key) {
    checkKey(key);
    checkWritable();
    return double.state.delete(key);
  },

  list(prefix, cursor) {
    const all = [...double.state.keys()].filter((key) => key.startsWith(prefix)).sort(compareKeys);
    const left = cursor === null || cursor === undefined ? all : all.filter((key) => compareKeys(key, cursor) > 0);
    const keys = left.slice(0, PAGE);
    return { keys, next: left.length > PAGE ? keys.at(-1) : undefined };
  },
};

export const transcript = {
  emit(kind, contentType, body) {
    if (!/^[a-z0-9_.-]{1,64}$/.test(kind)) refuse("invalid-kind");
    if (body.length > EVENT_BYTES) refuse("too-large", EVENT_BYTES);
    if (double.emitted.length >= EVENTS_PER_TURN) refuse("too-many", EVENTS_PER_TURN);
    double.emitted.push(entry("event", kind, contentType, body));
    double.events.push({ kind, contentType, body: Uint8Array.from(body) });
  },

  read(after, limit) {
    const count = Math.min(PAGE, limit);
    const entries = double.entries.slice(after, after + count);
    const end = after + entries.length;
    return { entries, next: end < double.entries.length ? end : undefined };
  },
};

export const config = {
  get: (key) => (Object.hasOwn(double.config, key) ? double.config[key] : undefined),
  getAll: () => Object.entries(double.config).sort(([a], [b]) => compareKeys(a, b)),
};

export const context = {
  runtimeId: () => double.runtimeId,
  workerId: () => double.workerId,
  inputId: () => double.inputId,
  attempt: () => double.attempt,
  remainingMs: () => double.remainingMs,
};

function parentsOf(path) {
  const parts = path.split("/").slice(0, -1);
  return parts.map((_, index) => parts.slice(0, index + 1).join("/"));
}

function checkPath(path) {
  if (path.split("/").includes("..")) refuseFile("not-permitted");
  if (parentsOf(path).some((folder) => double.files.has(folder))) refuseFile("not-directory");
}

export const files = {
  read(path) {
    checkPath(path);
    if (double.folders.has(path)) refuseFile("is-directory");
    const content = double.files.get(path);
    if (!content) refuseFile("no-entry");
    return Uint8Array.from(content);
  },

  write(path, bytes, appended) {
    checkPath(path);
    if (double.folders.has(path)) refuseFile("is-directory");
    for (const folder of parentsOf(path)) double.folders.add(folder);
    const before = (appended && double.files.get(path)) || new Uint8Array();
    const after = new Uint8Array(before.length + bytes.length);
    after.set(before);
    after.set(bytes, before.length);
    double.files.set(path, after);
  },

  list(path) {
    checkPath(`${path}/x`);
    if (path !== "" && !double.folders.has(path)) refuseFile("no-entry");
    const inside = (name) => (path === "" ? name : name.startsWith(`${path}/`) ? name.slice(path.length + 1) : "");
    const direct = (name) => inside(name) !== "" && !inside(name).includes("/");
    return [...[...double.files.keys()].filter(direct).map(inside), ...[...double.folders].filter(direct).map((name) => `${inside(name)}/`)];
  },

  remove(path) {
    checkPath(path);
    if (double.files.delete(path)) return true;
    if (!double.folders.has(path)) return false;
    if (files.list(path).length > 0) refuseFile("not-empty");
    return double.folders.delete(path);
  },

  exists: (path) => double.files.has(path) || double.folders.has(path),
};

export const http = {
  send(request) {
    if (!double.answer) refuse("denied", "the worker has no http grant; set double.fetch in the test");
    return double.answer(request);
  },
};
