import assert from "node:assert/strict";
import { test } from "node:test";

import { type Command, find, keyOf } from "../src/parts/keys";

const press = (key: string, held: Partial<Record<"ctrlKey" | "metaKey" | "altKey" | "shiftKey", boolean>> = {}) =>
  keyOf({ key, ctrlKey: false, metaKey: false, altKey: false, shiftKey: false, ...held });

const command = (keys: string): Command => ({ does: keys, keys, group: "Test", run: () => {} });

test("a key press is written as commands name it", () => {
  assert.equal(press("j"), "j");
  assert.equal(press("E", { shiftKey: true }), "Shift+E");
  assert.equal(press("k", { ctrlKey: true }), "Mod+K");
  assert.equal(press("k", { metaKey: true }), "Mod+K");
  assert.equal(press(" "), "Space");
  assert.equal(press("Enter", { shiftKey: true }), "Shift+Enter");
});

test("a sign is itself, however the keyboard makes it", () => {
  assert.equal(press("?", { shiftKey: true }), "?");
  assert.equal(press("[", { altKey: false }), "[");
});

test("a command that came later wins", () => {
  const [early, late] = [command("x"), command("x")];
  assert.equal(find("x", [early, late], 0), late);
});

test("two keys one after the other are a command", () => {
  const both = command("g w");
  assert.equal(find("g", [both], 1_000), null);
  assert.equal(find("w", [both], 1_500), both);
});

test("the second of two keys comes too late", () => {
  const both = command("g w");
  assert.equal(find("g", [both], 1_000), null);
  assert.equal(find("w", [both], 3_000), null);
});

test("a second key that leads nowhere acts as itself", () => {
  const [both, single] = [command("g w"), command("j")];
  assert.equal(find("g", [both, single], 1_000), null);
  assert.equal(find("j", [both, single], 1_100), single);
  // And it is no longer the second of two.
  assert.equal(find("w", [both, single], 1_200), null);
});
