// The messages of the build, and its line table. They need the tools: SKEP_JS_TOOLS is the folder
// in which tools/package-lock.json is installed, SKEP_WIT the WIT folder; without them, nothing runs.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";

const BUILD = fileURLToPath(new URL("../build.mjs", import.meta.url));
const { SKEP_JS_TOOLS: tools, SKEP_WIT: wit } = process.env;
const skip = !(tools && wit) && "SKEP_JS_TOOLS and SKEP_WIT are not set";
const project = mkdtempSync(join(tmpdir(), "skep-js-"));
after(() => rmSync(project, { recursive: true, force: true }));

function write(name, text) {
  mkdirSync(dirname(join(project, name)), { recursive: true });
  writeFileSync(join(project, name), text);
}

function build(entry, ...flags) {
  const { status, stderr } = spawnSync(process.execPath, [BUILD, "--project", project, "--entry", entry, "--wit", wit, "--tools", tools, ...flags], { encoding: "utf8" });
  return { status, stderr };
}

const bundle = (entry) => build(entry, "--bundle-only", ".skep/app/worker.js");
const component = (entry) => build(entry, "--out", "build/worker.wasm");

/** The text of an entry, and what its build says. */
const MISTAKES = {
  "a syntax error": ["export default {\n  handle(input) { return }};\n};\n", /^src\/worker\.js:3:1: error: Unexpected "}"$/m],
  "a missing package": ['import { z } from "zod";\nexport default { handle: () => z };\n', /^src\/worker\.js:1:19: error: the module zod is not installed; run: npm install zod$/m],
  "a missing package with a scope": ['import z from "@a/b/c";\nexport default { handle: () => z };\n', /run: npm install @a\/b$/m],
  "a module of Node": ['import fs from "node:fs";\nexport default { handle: () => fs };\n', /^src\/worker\.js:1:16: error: a worker has no modules of Node such as node:fs; `data` of @skep\/guest/m],
  "a missing file": ['import a from "./a.js";\nexport default { handle: () => a };\n', /^src\/worker\.js:1:15: error: there is no file \.\/a\.js;/m],
  "a name that the SDK lacks": ['import { sate } from "@skep/guest";\nexport default { handle: () => sate.get("a") };\n', /^src\/worker\.js:1:10: error: @skep\/guest has no sate;/m],
  "the testing module": ['import t from "@skep/guest/testing";\nexport default { handle: () => t };\n', /is for tests under node --test/],
  "no default export": ["export const handle = () => 1;\n", /^src\/worker\.js:1:1: error: the entry has no default export;/m],
  "no handle": ["\nexport default { handel() {} };\n", /^src\/worker\.js:2:1: error: the default export has no handle\(\);/m],
  "a handle that is not a function": ['const worker = { handle: "x" };\nexport default worker;\n', /^src\/worker\.js:2:1: error: handle of the default export is not a function;/m],
  "a function as the default export": ["export default (input) => input.text();\n", /^src\/worker\.js:1:1: error: the default export is a function;/m],
  "top-level await": ["const a = await 1;\nexport default { handle: () => a };\n", /^src\/worker\.js:1:11: error: a worker has no top-level await/m],
  "an interface that the world has not": ['import t from "wasi:http/types@0.2.0";\nexport default { handle: () => t };\n', /^src\/worker\.js:1:15: error: the worker's world has no interface wasi:http\/types@0\.2\.0;/m],
  "an interface of another version": ['import t from "wasi:clocks/wall-clock@0.2.0";\nexport default { handle: () => t };\n', /write wasi:clocks\/wall-clock@0\.2\.12$/m],
};

for (const [name, [source, message]] of Object.entries(MISTAKES)) {
  test(name, { skip }, () => {
    write("src/worker.js", source);
    const { status, stderr } = bundle("src/worker.js");
    assert.equal(status, 1);
    assert.match(stderr, message);
    assert.doesNotMatch(stderr, /\n\s+at |node_modules\/esbuild/);
  });
}

/** The text of a TypeScript entry that throws while it is loaded, and what its build says. */
const LOADING = {
  "a throw": ["interface A {\n  a: number;\n}\nconst a: A = JSON.parse('x');\nexport default { handle: () => a };\n", /^src\/worker\.ts:4: error: SyntaxError: /m],
  "a call of the host": ['import { state } from "@skep/guest";\nconst a = state.get("a");\nexport default { handle: () => a };\n', /^src\/worker\.ts:2: error: Error: state\.get\(\) was called while the worker's modules are loaded/m],
  "random bytes": ["const id = crypto.randomUUID();\nexport default { handle: () => id };\n", /^src\/worker\.ts:1: error: Error: crypto was called/m],
  "a rejection that nothing handles": ['Promise.reject(new Error("lost"));\nexport default { handle: () => 1 };\n', /^src\/worker\.ts:1: error: Error: lost$/m],
  "a handle that is made late": ['const worker: any = {};\nworker["han" + "dle"] = 3;\nexport default worker;\n', /^src\/worker\.ts: error: TypeError: handle of the default export is a number/m],
};

for (const [name, [source, message]] of Object.entries(LOADING)) {
  test(`${name} while the modules are loaded`, { skip }, () => {
    write("src/worker.ts", source);
    const { status, stderr } = component("src/worker.ts");
    assert.equal(status, 1);
    assert.match(stderr, message);
  });
}

test("an entry of the other kind is told how it is built", { skip }, () => {
  const bundled = (source, ...flags) => {
    write("src/worker.js", source);
    return build("src/worker.js", "--bundle-only", ".skep/app/worker.js", ...flags);
  };
  const web = "export default { fetch: () => new Response() };\n";
  assert.deepEqual(bundled(web, "--kind", "web"), { status: 0, stderr: "" });
  assert.match(bundled(web).stderr, /^src\/worker\.js:1:1: error: the default export has no handle\(\); with fetch\(\), set kind = "web" in skep-worker\.toml$/m);
  assert.match(bundled('export default { handle: () => "" };\n', "--kind", "web").stderr, /has no fetch\(\); with handle\(\), set kind = "service" in skep-worker\.toml$/m);
  assert.match(bundled("export default {};\n", "--kind", "web").stderr, /has no fetch\(\); write `export default \{ async fetch\(request\)/);
  assert.match(bundled("export const a = 1;\n", "--kind", "web").stderr, /no default export; write `export default \{ async fetch\(request\)/);
});

test("the same input leaves the component as it is, another makes a new one", { skip }, () => {
  write("src/worker.js", 'export default { handle: () => "one" };\n');
  const made = () => {
    assert.deepEqual(component("src/worker.js"), { status: 0, stderr: "" });
    return readFileSync(join(project, "build/worker.wasm"));
  };
  const first = made();
  assert.deepEqual(made(), first);
  write("src/worker.js", 'export default { handle: () => "two" };\n');
  assert.notDeepEqual(made(), first);
});

test("two bundles of the same input are equal", { skip }, () => {
  write("src/worker.js", 'export default { handle: async () => "one" };\n');
  const made = () => {
    assert.equal(bundle("src/worker.js").status, 0);
    return readFileSync(join(project, ".skep/app/worker.js"), "utf8");
  };
  assert.equal(made(), made());
});

test("the server answers each request with one line", { skip }, () => {
  write("src/worker.js", 'export default { handle: () => "one" };\n');
  write("src/bad.js", "export default {\n");
  const requests = ["src/worker.js", "src/bad.js", "src/worker.js"].map((entry) => JSON.stringify({ entry, bundleOnly: ".skep/app/worker.js" }));
  const { stdout, status } = spawnSync(process.execPath, [BUILD, "--serve", "--project", project, "--wit", wit, "--tools", tools], { encoding: "utf8", input: [...requests, "{"].join("\n") });
  assert.equal(status, 0);
  const answers = stdout.trim().split("\n").map((line) => JSON.parse(line));
  assert.deepEqual(answers.map(({ ok }) => ok), [true, false, true, false]);
  assert.match(answers[1].messages[0], /^src\/bad\.js:2:1: error: /);
});
