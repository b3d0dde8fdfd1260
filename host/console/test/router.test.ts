import assert from "node:assert/strict";
import { test } from "node:test";

import { hashText, parse, paths } from "../src/router";

test("an address leads to its page and back", () => {
  const pages = [
    ["/", { page: "overview" }],
    ["/workers", { page: "workers" }],
    ["/w/hive/01a/files", { page: "worker", runtime: "hive", worker: "01a", tab: "files" }],
    ["/components/hive/sha256:ab", { page: "component", runtime: "hive", digest: "sha256:ab" }],
    ["/runtimes/hive", { page: "runtime", id: "hive" }],
    ["/ci/7/build", { page: "ci", run: "7", step: "build" }],
    ["/ci", { page: "ci", run: null, step: null }],
    ["/ci/7/cc%5Bfile%3Dsrc%2Fa.c%5D", { page: "ci", run: "7", step: "cc[file=src/a.c]" }],
    ["/ci/7", { page: "ci", run: "7", step: null }],
    ["/audit", { page: "audit" }],
    ["/access", { page: "access" }],
  ] as const;
  for (const [path, route] of pages) assert.deepEqual(parse(path), route, path);
  assert.equal(paths.worker("hive", "01a", "files"), "/w/hive/01a/files");
  assert.equal(paths.component("hive", "sha256:ab"), "/components/hive/sha256:ab");
});

test("a worker without a tab shows its transcript", () => {
  const route = { page: "worker", runtime: "a", worker: "b", tab: "transcript" };
  assert.deepEqual(parse("/w/a/b"), route);
});

test("the login link's page is the overview", () => {
  assert.deepEqual(parse("/login"), { page: "overview" });
});

test("an address that is none of ours is missing", () => {
  for (const path of ["/w/a", "/w/a/b/secrets", "/w/a/b/files/x", "/workers/x", "/runtimes/a/b", "/%zz", "/x"]) {
    assert.deepEqual(parse(path), { page: "missing" }, path);
  }
});

test("ids are escaped in paths and read back", () => {
  const path = paths.worker("a/b", "c?d#e");
  assert.equal(path, "/w/a%2Fb/c%3Fd%23e/transcript");
  assert.deepEqual(parse(path), { page: "worker", runtime: "a/b", worker: "c?d#e", tab: "transcript" });
});

test("a fragment has only what is set, and keeps any text", () => {
  assert.equal(hashText({ q: "", state: null }), "");
  const text = hashText({ q: "a&b=ü #", seq: 512 });
  assert.deepEqual(Object.fromEntries(new URLSearchParams(text.slice(1))), { q: "a&b=ü #", seq: "512" });
});
