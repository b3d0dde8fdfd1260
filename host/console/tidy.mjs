// House rules that the compiler does not know. A linter with a hundred packages would know them
// too, and more; these are the ones that matter here.

import { readFile, readdir } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const LINES = 500;

/** Patterns that no source may have, with the reason, and files that may. */
const REFUSED = [
  [/\b(innerHTML|outerHTML|insertAdjacentHTML|dangerouslySetInnerHTML|document\.write)\b/,
    "guest text becomes markup"],
  [/\b(eval\(|new Function\()/, "the policy forbids evaluated code"],
  [/\bstyle="/, "the policy forbids style attributes; use a class or an object"],
  [/\b(localStorage|sessionStorage|indexedDB|document\.cookie)\b/,
    "storage is for preferences alone", /^src\/prefs\.ts$/],
  [/\bEventSource\b(?!`)/, "streams are opened by api/stream.ts", /^src\/api\/stream\.ts$/],
  [/(?<![.\w])fetch\(/, "requests go through api/client.ts",
    /^src\/(api\/(client|connection|stream)|shell\/login|flows\/scratch)\.tsx?$/],
  [/\bas any\b|: any\b|<any>/, "`any` switches the compiler off"],
  [/@ts-(ignore|nocheck)/, "an expected error is `@ts-expect-error` with its reason"],
  [/https?:\/\/(?!www\.w3\.org\/2000\/svg)/, "the console names no other host",
    // An example of a grant.
    /^src\/flows\/grants-form\.tsx$/],
  [/\bconsole\.(log|debug|info)\(/, "a page writes no log"],
  [/\b(TODO|FIXME|XXX)\b/, "finish it or write an issue"],
];

async function* sources(folder) {
  for (const entry of await readdir(join(here, folder), { withFileTypes: true })) {
    const path = `${folder}/${entry.name}`;
    if (entry.isDirectory()) yield* sources(path);
    else if (/\.(tsx?|css)$/.test(entry.name) && !entry.name.endsWith(".d.ts")) yield path;
  }
}

const found = [];
for (const folder of ["src", "test"]) {
  for await (const path of sources(folder)) {
    const text = await readFile(join(here, path), "utf8");
    const lines = text.split("\n");
    if (lines.length > LINES && !path.endsWith(".css")) {
      found.push(`${path}: ${lines.length} lines; split it at its second noun`);
    }
    if (path.startsWith("src/") && !/^(\/\/|\/\*)/.test(text)) {
      found.push(`${path}:1: begin with a comment that says what the file is for`);
    }
    lines.forEach((line, at) => {
      const where = `${path}:${at + 1}`;
      if (/\s+$/.test(line)) found.push(`${where}: trailing space`);
      if (line.length > 160) found.push(`${where}: longer than 160 characters`);
      for (const [pattern, reason, except] of REFUSED) {
        if (path.startsWith("test/") || /^\s*(\/\/|\*|\/\*)/.test(line)) continue;
        if (pattern.test(line) && !except?.test(path)) found.push(`${where}: ${reason}`);
      }
    });
  }
}

if (found.length) {
  console.error(found.join("\n"));
  process.exitCode = 1;
} else {
  console.log(`tidy: ${relative(process.cwd(), here) || "."} is in order`);
}
