// The line table maps the frames of the engine to the author's lines.
import assert from "node:assert/strict";
import { test } from "node:test";
import { makeTable } from "../builder/table.mjs";
import { mapStack, placeOf, setLines } from "../src/runtime/lines.js";

// Three lines of a bundle: the first was made from line 5 of a.ts; the second from lines 6 and 9 of
// a.ts, the latter from column 10 on; the third from line 1 of a package.
const MAP = { sources: ["src/a.ts", "node_modules/p/index.js"], mappings: "AAIA;AACA,UAGA;ACRA" };

setLines({ file: "<input>", base: 1, entry: "src/a.ts", ...makeTable(MAP) });

test("frames are mapped, and those of the SDK are left out", () => {
  const stack = "    at f (<input>:2:3)\n    at map (native)\n    at <anonymous> (<input>:3:12)\n    at run (sdk.js:7:1)\n    at <input>:3:2\n";
  assert.equal(mapStack(`Error: x\n${stack}`), "Error: x\n    at f (src/a.ts:5)\n    at <anonymous> (src/a.ts:9)\n    at src/a.ts:6\n");
});

test("the place of an error is in the author's own files", () => {
  const place = (stack) => placeOf({ stack, constructor: class Mine {} });
  assert.equal(place("    at g (<input>:4:1)\n    at f (<input>:2:1)\n"), "src/a.ts:5");
  assert.equal(place("    at g (<input>:4:1)\n"), "node_modules/p/index.js:1");
  assert.equal(place("    at Mine (<input>:2:1)\n    at f (<input>:3:1)\n"), "src/a.ts:6");
  assert.equal(place("    at f (sdk.js:2:1)\n"), undefined);
  assert.equal(placeOf("text"), undefined);
});

test("text without frames stays as it is", () => {
  assert.equal(mapStack("look at (this)"), "look at (this)");
});
