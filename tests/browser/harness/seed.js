// Stores with more in them than a test could send. They are made once and kept until the program
// that fills them changes; a test works on a copy.

import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";

import { Host } from "./host.js";
import * as paths from "./paths.js";

/**
 * Returns a store that the commands of `skep-seed` filled.
 * @param {string} name Name of the store.
 * @param {string} component The guest that its workers run.
 * @param {string[][]} fillings Words of `skep-seed` after the component, once per filling.
 */
export async function seeded(name, component, fillings) {
  const program = readFileSync(paths.skepSeed());
  const hash = createHash("sha256").update(program).update(JSON.stringify(fillings));
  const key = `${name}-${hash.digest("hex").slice(0, 16)}`;
  const folder = paths.kept("seeds");
  const store = join(folder, key);
  if (existsSync(store)) return store;
  for (const old of readdirSync(folder)) {
    if (old.startsWith(`${name}-`)) rmSync(join(folder, old), { recursive: true });
  }
  const host = await Host.start();
  try {
    const digest = await host.api().push(host.runtimeId, component);
    await host.stop();
    for (const words of fillings) {
      await promisify(execFile)(paths.skepSeed(), [host.store, digest, ...words]);
    }
    renameSync(host.store, store);
  } finally {
    await host.remove();
  }
  return store;
}
