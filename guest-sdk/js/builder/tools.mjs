// The pinned tools of the build, loaded from the folder where they are installed.
import { createRequire } from "node:module";
import { join } from "node:path";

/** Loads a tool by its package name. */
export function load(tools, name) {
  return createRequire(join(tools, "package.json"))(name);
}
