// The component's clock, random bytes, and streams.
import * as clock from "wasi:clocks/monotonic-clock@0.2.12";
import * as random from "wasi:random/random@0.2.12";
import * as stderr from "wasi:cli/stderr@0.2.12";
import * as stdout from "wasi:cli/stdout@0.2.12";
import { phase, requireTurn } from "./phase.js";

/** The most bytes that one blocking write takes. */
const CHUNK = 4096;
/** The random bytes that are fetched at once: a call of the host costs more than they do. */
const POOL = 256;

const streams = {};
let early = [];

function stream(name) {
  streams[name] ??= name === "stdout" ? stdout.getStdout() : stderr.getStderr();
  return streams[name];
}

function write(name, text) {
  if (!phase.live) {
    early.push([name, text]);
    return;
  }
  const bytes = new TextEncoder().encode(text);
  for (let at = 0; at < bytes.length; at += CHUNK) stream(name).blockingWriteAndFlush(bytes.subarray(at, at + CHUNK));
}

export const out = (text) => write("stdout", text);
export const err = (text) => write("stderr", text);

/** Writes what was written while the modules were loaded. Each instance does it once. */
export function writeEarly() {
  const lines = early;
  early = [];
  for (const [name, text] of lines) write(name, text);
}

let pool = new Uint8Array();
let used = 0;

/** Returns random bytes of the host. */
export function randomBytes(count) {
  if (!phase.live) requireTurn("crypto");
  if (count > POOL) return random.getRandomBytes(count);
  if (used + count > pool.length) {
    pool = random.getRandomBytes(POOL);
    used = 0;
  }
  used += count;
  return pool.slice(used - count, used);
}

/** Returns the milliseconds of the monotonic clock, and 0 while the modules are loaded. */
export function nowMs() {
  return phase.live ? Number(clock.now()) / 1e6 : 0;
}

/** Waits. */
export function sleepMs(ms) {
  const pollable = clock.subscribeDuration(Math.max(0, Math.round(ms * 1e6)));
  pollable.block();
  pollable[Symbol.dispose]();
}
