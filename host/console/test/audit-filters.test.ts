import assert from "node:assert/strict";
import { test } from "node:test";

import { diffValues, readFilters, typedTime } from "../src/pages/audit-filters";

test("filters are picked from the fragment, other names are not", () => {
  const filters = { actor: "a b&c=d#e", since: "2h" };
  assert.deepEqual(readFilters({ ...filters, role: "admin", action: "  " }), filters);
});

test("a typed time becomes RFC 3339", () => {
  const now = Date.UTC(2026, 10, 30, 12);
  assert.equal(typedTime("2h", true, now), "2026-11-30T10:00:00.000Z");
  assert.equal(typedTime("2026-11-30", true, now), "2026-11-30T00:00:00.000Z");
  assert.equal(typedTime("2026-11-30 14:05", true, now), "2026-11-30T14:05:00.000Z");
  assert.equal(typedTime("2026-11-30T14:05:00+02:00", true, now), "2026-11-30T12:05:00.000Z");
  for (const bad of ["", "yesterday", "2026-99-99T00:00:00Z", "9", "99999999999d"]) {
    assert.equal(typedTime(bad, true, now), null, bad);
  }
});

test("values are compared path by path", () => {
  assert.deepEqual(diffValues({ a: 1, b: { c: "x" }, d: true }, { a: 1, b: { c: "y" }, e: [2] }), [
    { mark: "same", text: "a: 1" },
    { mark: "removed", text: "b.c: x" },
    { mark: "added", text: "b.c: y" },
    { mark: "removed", text: "d: true" },
    { mark: "added", text: "e.0: 2" },
  ]);
  assert.deepEqual(diffValues(null, null), []);
});
