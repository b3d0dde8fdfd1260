// The pinned tools of the build, loaded from the folder where they are installed.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

/** Loads a tool by its package name. */
export function load(tools, name) {
  return createRequire(join(tools, "package.json"))(name);
}

/** Returns the versions of the tools that make a component. */
export function versionsOf(tools) {
  return ["esbuild", "componentize-qjs"].map((name) => JSON.parse(readFileSync(join(tools, "node_modules", name, "package.json"), "utf8")).version);
}
