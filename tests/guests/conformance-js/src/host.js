// Verbs that call the host.
import { Failure, config, context, data, state, transcript } from "@skep/guest";
import { split } from "./arguments.js";

const KEY_BYTES = 512;

function set(key, value) {
  state.set(key, value);
  return "ok";
}

function found(value, what) {
  if (value === undefined) throw new Failure("missing", what);
  return value;
}

function line({ seq, kind, event, contentType }) {
  return `${seq} ${kind} ${event ?? "-"} ${contentType || "-"}`;
}

function hex(bytes) {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

export const hostVerbs = {
  count() {
    const number = String(Number(state.getText("count") ?? "0") + 1);
    state.set("count", number);
    transcript.emit("counted", number);
    return number;
  },

  set: (text) => set(...split(text, 2)),
  delete: (key) => String(state.delete(key)),
  get: (key) => found(state.getText(key), `${key} is not in the state`),
  keys: (prefix) => [...state.keys(prefix)].join("\n"),
  "set-long-key": () => set("k".repeat(KEY_BYTES + 1), ""),
  "set-large": (size) => set("large", new Uint8Array(Number(size))),

  fill(count) {
    for (let index = 0; index < Number(count); index++) state.set(`key-${String(index).padStart(5, "0")}`, "x");
    return "ok";
  },

  "set-then-fail"(text) {
    set(...split(text, 2));
    throw new Failure("asked", "as asked");
  },

  emit(text) {
    transcript.emit(...split(text, 2));
    return "ok";
  },

  "emit-large"(size) {
    transcript.emit("large", new Uint8Array(Number(size)));
    return "ok";
  },

  "emit-many"(count) {
    for (let index = 0; index < Number(count); index++) transcript.emit("many", "x");
    return "ok";
  },

  read(text) {
    const [after, limit] = split(text, 2).map(Number);
    const { entries, next } = transcript.read(after, limit);
    return [...entries.map(line), next === undefined ? "end" : `next ${next}`].join("\n");
  },

  config: (key) => found(config.get(key), `${key} is not in the config`),
  "config-all": () => Object.entries(config.all()).map(([key, value]) => `${key}=${value}`).join("\n"),

  context() {
    const { runtimeId, workerId, inputId, attempt, remainingMs } = context;
    return `runtime=${runtimeId} worker=${workerId} input=${inputId ?? "-"} attempt=${attempt} remaining=${remainingMs === undefined ? "no" : "yes"}`;
  },

  write(text) {
    const [name, content] = split(text, 2);
    data.write(name, content);
    return "ok";
  },

  "read-file": (name) => data.readText(name),

  random: () => hex(crypto.getRandomValues(new Uint8Array(16))),
  "random-float": () => String(Math.random()),

  log(text) {
    console.log(text);
    return "ok";
  },

  "log-error"(text) {
    console.error(text);
    return "ok";
  },

  async fetch(text) {
    const [method, url, body] = split(text, 3);
    const response = await fetch(url, { method, body: body || undefined });
    return `${response.status}\n${await response.text()}`;
  },
};
