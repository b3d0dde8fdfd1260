// The files under `/data`, the worker's own directory. Files that a turn writes stay if it fails.
import * as host from "#host";
import { FileError } from "./failure.js";
import { toBytes, toText } from "./bytes.js";

const MESSAGES = {
  "no-entry": "no such file or folder",
  exist: "it exists already",
  "is-directory": "it is a folder",
  "not-directory": "a part of the path is not a folder",
  "not-empty": "the folder is not empty",
  "not-permitted": "the path leaves /data, or the operation is not permitted",
  access: "permission denied",
  "read-only": "/data is read-only",
  "insufficient-space": "no space is left: the worker's limit disk_bytes or disk_entries is reached",
  quota: "no space is left: the worker's limit disk_bytes or disk_entries is reached",
  "name-too-long": "the name is too long",
  loop: "too many symbolic links",
};

/** Runs one file operation; a WASI error becomes a `FileError` that names the path. */
function call(path, run) {
  try {
    return run();
  } catch (error) {
    const reason = error?.payload ?? error?.reason;
    if (error instanceof FileError || typeof reason !== "string") throw error;
    throw new FileError(`/data/${path}: ${MESSAGES[reason] ?? reason}`, reason);
  }
}

/** Returns a path relative to `/data`: `a/b` of `a/b`, `/data/a/b` and `./a//b`. */
function relative(path) {
  if (typeof path !== "string") throw new TypeError("a path under /data has to be text");
  const inside = path === "/data" || path.startsWith("/data/") ? path.slice(5) : path;
  if (inside === path && path.startsWith("/")) {
    throw new FileError(`${path}: a worker's files are under /data`, "not-permitted");
  }
  return inside.split("/").filter((part) => part !== "" && part !== ".").join("/");
}

function named(path) {
  const name = relative(path);
  if (name === "") throw new FileError("/data: it is a folder", "is-directory");
  return name;
}

export const data = {
  /** Returns the bytes of a file. A missing file is the failure `io`. */
  read(path) {
    const name = named(path);
    return call(name, () => host.files.read(name));
  },

  /** Returns the text of a file. */
  readText(path) {
    const name = named(path);
    const bytes = call(name, () => host.files.read(name));
    return call(name, () => {
      try {
        return toText(bytes);
      } catch {
        throw new FileError(`/data/${name}: it is not text`, "not-text");
      }
    });
  },

  /** Writes a file of text or bytes, and makes the folders above it. */
  write(path, content) {
    const name = named(path);
    const bytes = toBytes(content, `the content of /data/${name}`);
    call(name, () => host.files.write(name, bytes, false));
  },

  /** Appends text or bytes to a file, which is created where it is missing. */
  append(path, content) {
    const name = named(path);
    const bytes = toBytes(content, `the content of /data/${name}`);
    call(name, () => host.files.write(name, bytes, true));
  },

  /** Lists the names in a folder in order; the name of a folder ends with `/`. */
  list(path = "") {
    const name = relative(path);
    return call(name, () => host.files.list(name)).sort();
  },

  /** Removes a file or an empty folder. Returns true if it existed. */
  remove(path) {
    const name = named(path);
    return call(name, () => host.files.remove(name));
  },

  /** Says whether a file or folder exists. */
  exists(path) {
    const name = relative(path);
    return name === "" || call(name, () => host.files.exists(name));
  },
};
