// The WIT world of one worker.
import { cpSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

export const FETCH = "skep:worker/fetch@0.1.0";

/** Makes a folder with Skep's WIT and a world `author`, uses it and removes it. */
export async function withWorld({ project, wit, kind }, { fetch, lifecycle }, use) {
  const parent = join(project, ".skep");
  mkdirSync(parent, { recursive: true });
  const folder = mkdtempSync(join(parent, "wit-"));
  try {
    cpSync(wit, folder, { recursive: true });
    const lines = [kind === "web" ? "include web-worker;" : "include worker;", fetch && "import fetch;", lifecycle && "export lifecycle;"].filter(Boolean);
    writeFileSync(join(folder, "author.wit"), `package skep:worker@0.1.0;\n\nworld author {\n  ${lines.join("\n  ")}\n}\n`);
    return await use(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Returns the interfaces that a WIT folder has, as `package/name@version`. */
export function interfacesOf(wit) {
  const names = new Set();
  for (const file of filesOf(wit)) {
    const text = readFileSync(file, "utf8");
    const [, pack, version] = /^package ([a-z0-9:-]+)@([0-9.]+);/m.exec(text) ?? [undefined, "skep:worker", "0.1.0"];
    for (const [, name] of text.matchAll(/^interface %?([a-z0-9-]+) \{/gm)) names.add(`${pack}/${name}@${version}`);
  }
  return names;
}

/** Returns the whole text of a WIT folder. */
export function witText(wit) {
  return filesOf(wit).map((file) => readFileSync(file, "utf8")).join("");
}

function filesOf(folder) {
  return readdirSync(folder, { withFileTypes: true })
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .flatMap((entry) => (entry.isDirectory() ? filesOf(join(folder, entry.name)) : entry.name.endsWith(".wit") ? [join(folder, entry.name)] : []));
}

/** Says that the world has no interface of a name, and which it has. */
export function explainInterface(name, known) {
  const plain = name.replace(/@.*$/, "");
  const same = [...known].find((other) => other.replace(/@.*$/, "") === plain);
  const instead = same ? `write ${same}` : `it has ${[...known].filter((other) => other.startsWith("skep:")).join(", ")} and those of wasi:cli`;
  return `the worker's world has no interface ${name}; ${instead}`;
}
