import assert from "node:assert/strict";
import { test } from "node:test";

import { abiOf, byPackage } from "../src/wasm/imports";

test("names are sorted by their package and version", () => {
  assert.deepEqual(byPackage(["wasi:io/poll@0.2.3", "wasi:io/streams@0.2.3", "wasi:io/poll@0.2.6", "bare"]), [
    { from: "wasi:io@0.2.3", names: ["poll", "streams"] },
    { from: "wasi:io@0.2.6", names: ["poll"] },
    { from: "bare", names: ["bare"] },
  ]);
  assert.deepEqual(byPackage(["wasi_snapshot_preview1.fd_write"]), [
    { from: "wasi_snapshot_preview1", names: ["fd_write"] },
  ]);
});

test("a hundred thousand names are sorted in a moment", () => {
  const names = Array.from({ length: 100_000 }, (_, at) => `a:b/c${String(at)}@0.1.0`);
  assert.equal(byPackage(names)[0]?.names.length, 100_000);
});

test("modules are told from components by their imports", () => {
  assert.equal(abiOf(["wasi_snapshot_preview1.fd_write"]), "preview1");
  assert.equal(abiOf(["wasi:io/poll@0.2.3"]), "component");
  assert.equal(abiOf([]), "component");
});
