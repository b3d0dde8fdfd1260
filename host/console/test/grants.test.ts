import assert from "node:assert/strict";
import { test } from "node:test";

import { type Grantable, beyond } from "../src/grants/ceiling";
import {
  type Grants,
  type HttpGrant,
  addGrants,
  canNarrow,
  diffGrants,
  httpText,
  parseHttpGrant,
  sameGrants,
  suggestGrant,
  withoutGrants,
} from "../src/grants/grants";

const origin: HttpGrant = { scheme: "https", host: "api.example.com" };
const http = (...methods: string[]): Grants => ({
  scopes: [],
  http: [methods.length ? { ...origin, methods } : origin],
});
const directory = (rights: "ro" | "rw"): Grants => ({
  scopes: [{ name: "cache", guest: "/cache", rights }],
});

test("a denied request suggests a grant of its method, or of every method", () => {
  const body = { wanted: "GET https://api.example.com", grant: http() };
  assert.deepEqual(suggestGrant(body, null, true), {
    needs: http("GET"),
    wanted: "GET https://api.example.com",
    narrowed: true,
  });
  assert.deepEqual(suggestGrant(body, null, false).needs, http());
  assert.ok(canNarrow(body));
  assert.ok(!canNarrow({ wanted: "write /cache/a", grant: directory("rw") }));
});

test("a denial that no grant helps says so", () => {
  const sockets = suggestGrant(undefined, "wasi:sockets/tcp", true);
  assert.equal(sockets.needs, null);
  assert.match(sockets.needs === null ? sockets.reason : "", /sockets/);
  for (const hostile of [null, 7, "x", [], { grant: "all" }, { wanted: {}, grant: http() }]) {
    assert.equal(suggestGrant(hostile, "x", true).needs, null, JSON.stringify(hostile));
  }
});

test("adding grants replaces a directory and joins methods", () => {
  assert.deepEqual(addGrants(directory("ro"), directory("rw")), directory("rw"));
  assert.deepEqual(addGrants(http("GET"), http("POST")), http("GET", "POST"));
  assert.deepEqual(addGrants(http("GET"), http()), http());
  assert.deepEqual(addGrants(http(), http("GET")), http());
  const secret: Grants = { scopes: [], secrets: ["key"] };
  assert.deepEqual(addGrants(addGrants(http("GET"), secret), secret), {
    ...http("GET"),
    secrets: ["key"],
  });
});

test("a diff shows a replaced line before its successor", () => {
  const changes = diffGrants(
    { ...directory("ro"), ...{ http: http("GET").http } },
    { ...directory("rw"), http: [...(http("GET").http ?? []), { ...origin, scheme: "http" }] },
  );
  assert.deepEqual(
    changes.map(({ mark, line }) => `${mark} ${line.text}`),
    [
      "removed cache::/cache:ro",
      "added cache::/cache:rw",
      "same GET https://api.example.com",
      "added http://api.example.com",
    ],
  );
  assert.deepEqual(diffGrants(http(), http()).map(({ mark }) => mark), ["same"]);
});

test("taking away what was added restores the grants", () => {
  const before = http("GET");
  const after = addGrants(before, directory("rw"));
  assert.ok(!sameGrants(before, after));
  assert.ok(sameGrants(withoutGrants(after, directory("rw")), before));
  assert.ok(sameGrants(withoutGrants(before, http("POST")), before));
});

test("grants round-trip through text", () => {
  for (const text of [
    "https://api.example.com",
    "http://127.0.0.1:8080",
    "GET,HEAD https://*.example.com",
    "https://db.corp:8443 inner",
    "https://[2001:db8::1]:8443",
    "https://*",
  ]) {
    const grant = parseHttpGrant(text);
    assert.ok(!("problem" in grant), text);
    assert.equal(httpText(grant), text);
  }
  for (const text of [
    "",
    "api.example.com",
    "ftp://a.b",
    "https://a.b/path",
    "https://a.b:0",
    "https://a.b:99999",
    "get https://a.b",
    "https://*.*",
    "https://a b",
    "GET POST https://a.b",
  ]) {
    assert.ok("problem" in parseHttpGrant(text), text);
  }
});

test("a ceiling names the first grant beyond it", () => {
  const operator: Grantable = {
    role: "operator",
    scopes: [{ name: "cache", rights: "ro" }],
    http: [{ scheme: "https", host: "*.example.com", methods: ["GET"] }],
    secrets: [],
  };
  assert.equal(beyond(operator, { scopes: [] }, directory("ro")), null);
  assert.match(beyond(operator, { scopes: [] }, directory("rw"))?.text ?? "", /cache::\/cache:rw/);
  assert.equal(beyond(operator, { scopes: [] }, http("GET")), null);
  assert.match(beyond(operator, { scopes: [] }, http())?.text ?? "", /api\.example\.com/);
  assert.match(beyond(operator, { scopes: [] }, http("POST"))?.text ?? "", /POST/);
  const inner: Grants = { scopes: [], http: [{ ...origin, methods: ["GET"], inner: true }] };
  assert.match(beyond(operator, { scopes: [] }, inner)?.text ?? "", /inner/);
  assert.match(beyond(operator, { scopes: [] }, { scopes: [], secrets: ["key"] })?.text ?? "", /key/);
  // What the worker has already may stay.
  assert.equal(beyond(operator, http("POST"), http("POST")), null);
  const admin: Grantable = { role: "admin", scopes: null, http: null, secrets: null };
  assert.equal(beyond(admin, { scopes: [] }, inner), null);
});
