// The files that the tests need. A missing one fails the test and says how to get it.

import { existsSync, mkdirSync, mkdtempSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

export const root = resolve(dirname(fileURLToPath(import.meta.url)), "../../..");
const target = join(root, "target");

function need(path, hint) {
  if (!existsSync(path)) throw new Error(`${path} is missing; ${hint}`);
  return path;
}

/** The program under test. */
export function skep() {
  const path = process.env.SKEP_BIN ?? process.env.SKEP ?? join(target, "debug/skep");
  return need(path, "run `cargo build --workspace --bin skep`, or set SKEP_BIN");
}

/** The program that fills stores. */
export function skepSeed() {
  const path = process.env.SKEP_SEED_BIN ?? join(target, "debug/skep-seed");
  return need(path, "run `cargo build --workspace --bin skep-seed`, or set SKEP_SEED_BIN");
}

/** A guest of this tree, by name. */
export function guest(name) {
  const folder = process.env.SKEP_GUESTS ?? join(target, "guests");
  return need(join(folder, `${name}.wasm`), "run `cargo xtask guests`");
}

export function chromium() {
  const path = process.env.SKEP_CHROMIUM ?? "/usr/bin/chromium";
  return need(path, "run `apt-get install chromium`, or set SKEP_CHROMIUM");
}

/** The built console. */
export function dist() {
  return need(join(root, "host/console/dist"), "run `cargo xtask console`");
}

/** A folder below `target/browser`, which keeps what outlives a run. */
export function kept(name) {
  const path = join(target, "browser", name);
  mkdirSync(path, { recursive: true });
  return path;
}

/** A new folder, which its owner removes. */
export function temporary() {
  return mkdtempSync(join(kept("tmp"), "store-"));
}
