// The host of a component: the imports of the worker's world. While the worker's modules are
// loaded, at build time, there is no host, and a call is an error that says so.
import * as configWit from "skep:worker/config@0.1.0";
import * as contextWit from "skep:worker/context@0.1.0";
import * as stateWit from "skep:worker/state@0.1.0";
import * as transcriptWit from "skep:worker/transcript@0.1.0";
import * as preopens from "wasi:filesystem/preopens@0.2.12";
import { VERSION_KEY } from "../config.js";
import { phase, requireTurn } from "../runtime/phase.js";

/** Returns an interface whose functions are refused while the worker is loaded. */
function guarded(name, functions) {
  const result = {};
  for (const key of Object.keys(functions)) {
    result[key] = (...args) => {
      if (!phase.live) requireTurn(`${name}.${key}()`);
      return functions[key](...args);
    };
  }
  return result;
}

export const state = guarded("state", { get: stateWit.get, set: stateWit.set, delete: stateWit.delete, list: stateWit.list });
export const transcript = guarded("transcript", { emit: transcriptWit.emit, read: transcriptWit.read });
export const config = guarded("config", { get: configWit.get, getAll: configWit.getAll });
export const context = guarded("context", {
  runtimeId: contextWit.runtimeId,
  workerId: contextWit.workerId,
  inputId: contextWit.inputId,
  attempt: contextWit.attempt,
  remainingMs: contextWit.remainingMs,
});

/** Returns the version of the bundle that a runner should load, which it needs before a turn. */
export function bundleVersion() {
  return configWit.get(VERSION_KEY) ?? undefined;
}

/** The bytes of one read or write of a file. */
const CHUNK = 65536;

let folder;

/** Returns the folder `/data`, opened by the host. */
function root() {
  if (!folder) folder = preopened("/data");
  if (!folder) throw new Error("the worker has no folder /data");
  return folder;
}

/** Returns a folder that the host opened, or `undefined`. */
export function preopened(path) {
  return preopens.getDirectories().find(([, name]) => name === path)?.[0];
}

/** Opens a path, uses the descriptor and closes it. */
function withFile(dir, path, openFlags, flags, use) {
  const file = dir.openAt({ symlinkFollow: true }, path, openFlags, flags);
  try {
    return use(file);
  } finally {
    file[Symbol.dispose]();
  }
}

/** Returns the bytes of a file in a folder of the host. */
export function readFile(dir, path) {
  return withFile(dir, path, {}, { read: true }, (file) => {
    if (file.getType() === "directory") throw { payload: "is-directory" };
    const chunks = [];
    let size = 0;
    for (;;) {
      const [bytes, end] = file.read(CHUNK, size);
      chunks.push(bytes);
      size += bytes.length;
      if (end || bytes.length === 0) break;
    }
    return concat(chunks, size);
  });
}

function concat(chunks, size) {
  const all = new Uint8Array(size);
  let at = 0;
  for (const chunk of chunks) {
    all.set(chunk, at);
    at += chunk.length;
  }
  return all;
}

function writeAll(file, bytes, at) {
  for (let from = 0; from < bytes.length; ) {
    from += Number(file.write(bytes.subarray(from, from + CHUNK), at + from));
  }
}

function makeFolders(path) {
  const parts = path.split("/").slice(0, -1);
  for (let count = 1; count <= parts.length; count++) {
    try {
      root().createDirectoryAt(parts.slice(0, count).join("/"));
    } catch (error) {
      if (error?.payload !== "exist") throw error;
    }
  }
}

function writeFile(path, bytes, append) {
  makeFolders(path);
  withFile(root(), path, { create: true, truncate: !append }, { write: true }, (file) => {
    writeAll(file, bytes, append ? Number(file.stat().size) : 0);
  });
}

function listFolder(path) {
  return withFile(root(), path === "" ? "." : path, { directory: true }, { read: true }, (dir) => {
    const names = [];
    const entries = dir.readDirectory();
    try {
      for (let entry = entries.readDirectoryEntry(); entry; entry = entries.readDirectoryEntry()) {
        names.push(entry.type === "directory" ? `${entry.name}/` : entry.name);
      }
    } finally {
      entries[Symbol.dispose]();
    }
    return names;
  });
}

function typeOf(path) {
  try {
    return root().statAt({}, path).type;
  } catch (error) {
    if (error?.payload === "no-entry" || error?.payload === "not-directory") return undefined;
    throw error;
  }
}

function removePath(path) {
  const type = typeOf(path);
  if (type === undefined) return false;
  if (type === "directory") root().removeDirectoryAt(path);
  else root().unlinkFileAt(path);
  return true;
}

export const files = guarded("data", {
  read: (path) => readFile(root(), path),
  write: writeFile,
  list: listFolder,
  remove: removePath,
  exists: (path) => typeOf(path) !== undefined,
});

/** Sends one HTTP request through `skep:worker/fetch`, where the worker's world has it. */
export const http = guarded("fetch", {
  send: (request) => {
    const wit = phase.interfaces["skep:worker/fetch@0.1.0"];
    if (!wit) throw { payload: { tag: "failed", val: "the component was built without skep:worker/fetch: its source must name fetch" } };
    return wit.send(request);
  },
});
