// The bundler's messages in the author's terms.
import { KINDS } from "./check.mjs";
import { Fault } from "./fault.mjs";

/** The modules of Node, and what a worker has in their place. */
const INSTEAD = {
  fs: "`data` of @skep/guest reads and writes the files under /data",
  "fs/promises": "`data` of @skep/guest reads and writes the files under /data",
  crypto: "the global `crypto` has getRandomValues() and randomUUID()",
  http: "the global fetch() sends requests",
  https: "the global fetch() sends requests",
  process: "`config` of @skep/guest has the worker's settings",
  timers: "setTimeout() and setInterval() are globals",
  "timers/promises": "setTimeout() is a global: await new Promise((resolve) => setTimeout(resolve, ms))",
  url: "URL and URLSearchParams are globals",
  util: "TextEncoder, TextDecoder and structuredClone() are globals",
  perf_hooks: "performance.now() is a global",
  events: "EventTarget is a global; `npm install events` has EventEmitter",
  buffer: "Uint8Array, atob() and btoa() are globals; `npm install buffer` has Buffer",
  path: "`npm install path-browserify` has its functions",
  assert: "throw an Error or a Failure of @skep/guest",
  net: "fetch() is what a worker has of the network",
};

const OTHERS =
  "assert/strict async_hooks child_process cluster console constants dgram diagnostics_channel dns dns/promises domain http2 inspector module os path/posix path/win32 punycode querystring readline repl sqlite stream stream/promises stream/web string_decoder sys test tls trace_events tty util/types v8 vm wasi worker_threads zlib".split(" ");

/** Returns the name of a module of Node without `node:`, or `undefined`. */
function nodeModule(name) {
  const plain = name.replace(/^node:/, "");
  return name.startsWith("node:") || plain in INSTEAD || OTHERS.includes(plain) ? plain : undefined;
}

/** Makes the faults of a build of esbuild that failed. */
export function toFault(error, { entry, kind }) {
  if (!Array.isArray(error?.errors)) return Fault.internal(error);
  return new Fault(...error.errors.map((message) => describe(message, entry, kind)));
}

function describe({ text, location }, entry, kind) {
  const inStub = !location || location.file === "skep-entry.js";
  if (/^No matching export in .* for import "default"$/.test(text) && inStub) {
    return `${entry}:1:1: error: the entry has no default export; ${KINDS[kind].wanted}`;
  }
  const place = inStub ? entry : `${location.file.replace(/^[a-z-]+:/, "")}:${location.line}:${location.column + 1}`;
  return `${place}: error: ${explain(text)}`;
}

function explain(text) {
  const missing = /^Could not resolve "(.+)"$/.exec(text)?.[1];
  if (missing) return explainMissing(missing);
  if (/^Top-level await is/.test(text)) return "a worker has no top-level await: its modules are loaded at build time; await in handle(), fetch() or connected()";
  const name = /^No matching export in "skep:@skep\/guest" for import "(.+)"$/.exec(text)?.[1];
  if (name) return `@skep/guest has no ${name}; it has the names that its index.d.ts declares`;
  return text;
}

function explainMissing(name) {
  if (/^[./]/.test(name)) return `there is no file ${name}; correct the path, with its extension`;
  const node = nodeModule(name);
  if (node) return `a worker has no modules of Node such as ${name}; ${INSTEAD[node] ?? "use what JavaScript itself and @skep/guest have"}`;
  if (name.startsWith("#")) return `package.json has no import ${name}; add it under "imports"`;
  const parts = name.split("/");
  const pack = parts.slice(0, name.startsWith("@") ? 2 : 1).join("/");
  return `the module ${name} is not installed; run: npm install ${pack}`;
}
