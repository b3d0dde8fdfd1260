// A component of the SDK in the host. It needs SKEP_BIN, the program `skep`, beside the variables of
// build.test.js; without them, nothing runs.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";

const BUILD = fileURLToPath(new URL("../build.mjs", import.meta.url));
const { SKEP_BIN: skep, SKEP_JS_TOOLS: tools, SKEP_WIT: wit } = process.env;
const skip = !(skep && tools && wit) && "SKEP_BIN, SKEP_JS_TOOLS and SKEP_WIT are not set";
const project = mkdtempSync(join(tmpdir(), "skep-js-"));
after(() => rmSync(project, { recursive: true, force: true }));

/** A worker whose input names what it does. */
const SOURCE = `
import { data } from "@skep/guest";

console.log("early", Date.now());
const Kept = Date;
const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
class Deep { get x() { return this.x; } }

const VERBS = {
  recurse() { return VERBS.recurse() + 1; },
  getter: () => new Deep().x,
  mapped() { return [1].map(VERBS.mapped); },
  *generated() { yield* VERBS.generated(); },
  spread: () => [...VERBS.generated()],
  memory() { const list = []; for (;;) list.push(new Array(1000).fill(list.length)); },
  never: () => new Promise(() => {}),
  native: async () => { await new Function("return (async () => 1)()")(); },
  nothing: () => undefined,
  hostile() { throw new Proxy({}, { getPrototypeOf() { throw 1; } }); },
  async left() { setTimeout(() => {}, 9); Promise.reject(new Error("lost")); return "ok"; },
  async order() {
    const seen = [];
    setTimeout(() => seen.push("timer"), 1);
    queueMicrotask(() => seen.push("job"));
    seen.push("first");
    await wait(5);
    for await (const item of [Promise.resolve("a"), "b"]) seen.push(item);
    return seen.concat(await Array.fromAsync((async function* () { yield 1; yield 2; })())).join();
  },
  time: () => String(Date.now() > 1e12 && new Kept() instanceof Date && Kept.now() > 1e12),
  text() {
    const text = "löng€😀 ".repeat(20_000);
    return String(new TextDecoder().decode(new TextEncoder().encode(text)) === text);
  },
  url: () => new URL("../x?y=ü#z", "https://bücher.de/a/b").href,
  files() { data.write("a/b.txt", "1"); data.append("a/b.txt", "2"); return data.list("a") + data.readText("a/b.txt"); },
};

export default {
  async handle(input) {
    return VERBS[input.text()]();
  },
};
`;

before(() => {
  if (skip) return;
  mkdirSync(join(project, "src"));
  writeFileSync(join(project, "src/worker.js"), SOURCE);
  const { status, stderr } = spawnSync(process.execPath, [BUILD, "--project", project, "--entry", "src/worker.js", "--out", "worker.wasm", "--wit", wit, "--tools", tools], { encoding: "utf8" });
  assert.equal(status, 0, stderr);
});

/** Runs one turn. Returns the answer after the line that is printed when the instance begins. */
function turn(verb) {
  const { stdout, stderr } = spawnSync(skep, ["run", "--input", "-", "worker.wasm"], { cwd: project, input: verb, encoding: "utf8" });
  return { answer: stdout.replace(/^early 0\n/, ""), early: stdout.startsWith("early 0\n"), stderr };
}

const lineOf = (text) => SOURCE.split("\n").findIndex((line) => line.includes(text)) + 1;

/** The failures that an input ends with. */
const FAILURES = {
  recurse: `RangeError: Maximum call stack size exceeded (the recursion is too deep, or has no end) at src/worker.js:${lineOf("recurse() {")}`,
  getter: `RangeError: Maximum call stack size exceeded (the recursion is too deep, or has no end) at src/worker.js:${lineOf("get x()")}`,
  mapped: `RangeError: Maximum call stack size exceeded (the recursion is too deep, or has no end) at src/worker.js:${lineOf("mapped() {")}`,
  spread: `RangeError: Maximum call stack size exceeded (the recursion is too deep, or has no end) at src/worker.js:${lineOf("*generated() {")}`,
  // The innermost frames may be missing: there is no memory for their text.
  memory: "InternalError: out of memory (the engine reached the worker's limit memory_bytes) at src/worker.js:",
  never: "Error: the promise that the worker returned never settles",
  native: "Error: this promise belongs to the JavaScript engine",
  nothing: "TypeError: handle() returned nothing",
  hostile: "an object was thrown that cannot be described",
};

for (const [verb, message] of Object.entries(FAILURES)) {
  test(`${verb} is a failure`, { skip }, () => {
    const { stderr } = turn(verb);
    assert.ok(stderr.includes(`returned a failure: ${message}`), stderr);
    assert.match(stderr, /\(exception\)/m);
  });
}

test("work that was not awaited is a warning", { skip }, () => {
  const { answer, early, stderr } = turn("left");
  assert.deepEqual([answer, early], ["ok", true]);
  assert.match(stderr, /^warning: a timer was still waiting at the end of the turn/m);
  assert.match(stderr, new RegExp(`^warning: unhandled rejection: Error: lost\\n    at .*\\(src/worker\\.js:${lineOf("async left")}\\)`, "m"));
});

test("jobs, timers, text, time, URLs and files work in the engine", { skip }, () => {
  assert.equal(turn("order").answer, "first,job,timer,a,b,1,2");
  assert.equal(turn("time").answer, "true");
  assert.equal(turn("text").answer, "true");
  assert.equal(turn("url").answer, "https://xn--bcher-kva.de/x?y=%C3%BC#z");
  assert.equal(turn("files").answer, "b.txt12");
});

test("an HTTP worker imports fetch only where it calls it", { skip }, () => {
  const imports = (source) => {
    writeFileSync(join(project, "src/web.js"), source);
    const built = spawnSync(process.execPath, [BUILD, "--project", project, "--entry", "src/web.js", "--kind", "web", "--out", "web.wasm", "--wit", wit, "--tools", tools], { encoding: "utf8" });
    assert.equal(built.status, 0, built.stderr);
    const { stdout } = spawnSync(skep, ["inspect", "web.wasm"], { cwd: project, encoding: "utf8" });
    assert.match(stdout, /^kind +http /m);
    return stdout.includes("skep:worker/fetch");
  };
  assert.equal(imports("export default { async fetch() { return new Response(); } };\n"), false);
  assert.equal(imports('export default { fetch: () => fetch("http://a.example/") };\n'), true);
});
