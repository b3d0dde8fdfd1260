import assert from "node:assert/strict";
import { test } from "node:test";

import { EMPTY as empty, configOf, grantsOf, isFault, nameOf } from "../src/flows/new-worker";

test("a file's name becomes a worker's name", () => {
  assert.equal(nameOf("counter.wasm"), "counter");
  assert.equal(nameOf("C:\\build\\tool.component.wasm"), "tool");
  assert.equal(nameOf("a\u202eb\u0007.wasm"), "ab");
  assert.equal([...nameOf("🐝".repeat(300))].length, 128);
});

test("chosen directories, requests and secrets become grants", () => {
  const grants = grantsOf({
    ...empty,
    scopes: [
      { name: "cache", chosen: true, guest: "/cache", rights: "rw" },
      { name: "src", chosen: false, guest: "/src", rights: "ro" },
    ],
    http: "GET https://a.b\n\n  http://127.0.0.1:80 ",
    secrets: [
      { name: "key", chosen: true },
      { name: "other", chosen: false },
    ],
  });
  assert.deepEqual(grants, {
    scopes: [{ name: "cache", guest: "/cache", rights: "rw" }],
    http: [
      { scheme: "https", host: "a.b", methods: ["GET"] },
      { scheme: "http", host: "127.0.0.1", port: 80 },
    ],
    secrets: ["key"],
  });
  assert.deepEqual(grantsOf(empty), { scopes: [] });
  assert.deepEqual(grantsOf({ ...empty, scopesText: "src::/src\nout::/o:rw", secretsText: "key" }), {
    scopes: [
      { name: "src", guest: "/src", rights: "ro" },
      { name: "out", guest: "/o", rights: "rw" },
    ],
    secrets: ["key"],
  });
});

test("a wrong path, a taken path and a wrong request are faults of their field", () => {
  const scope = (guest: string) => ({ name: "s", chosen: true, guest, rights: "ro" as const });
  for (const guest of ["", "/", "cache", "/a/", "/a/../b", "//a", "/data"]) {
    const found = grantsOf({ ...empty, scopes: [scope(guest)] });
    assert.ok(isFault(found) && found.field === "scopes", guest);
  }
  assert.ok(isFault(grantsOf({ ...empty, scopes: [scope("/a"), scope("/a")] })));
  assert.ok(isFault(grantsOf({ ...empty, scopes: [scope("/a")], scopesText: "t::/a:rw" })));
  assert.ok(isFault(grantsOf({ ...empty, scopesText: "src:/src" })));
  const request = grantsOf({ ...empty, http: "https://a.b\nexample.com" });
  assert.ok(isFault(request) && request.field === "http" && request.text.includes("example.com"));
});

test("configuration is read line by line", () => {
  assert.deepEqual(configOf("a=1\n b = x=y \n"), { a: "1", b: "x=y" });
  assert.equal(configOf(" \n"), null);
  assert.ok(isFault(configOf("a")));
  assert.ok(isFault(configOf("a=1\na=2")));
});
