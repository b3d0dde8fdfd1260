import assert from "node:assert/strict";
import { test } from "node:test";

import { type TokenView, sorted, stateOf } from "../src/pages/access/types";

const now = Date.parse("2026-11-30T12:00:00.000Z");

function token(id: string, created: string, more: Partial<TokenView> = {}): TokenView {
  return {
    token_id: id,
    role: "viewer",
    runtimes: null,
    created_at: created,
    expires_at: null,
    revoked_at: null,
    ...more,
  };
}

test("a token expires at its time, and revoking wins", () => {
  assert.equal(stateOf(token("a", ""), now), "valid");
  assert.equal(stateOf(token("a", "", { expires_at: "2026-11-30T12:00:00.001Z" }), now), "valid");
  assert.equal(stateOf(token("a", "", { expires_at: "2026-11-30T12:00:00.000Z" }), now), "expired");
  const both = { expires_at: "2026-01-01T00:00:00.000Z", revoked_at: "2026-01-02T00:00:00.000Z" };
  assert.equal(stateOf(token("a", "", both), now), "revoked");
});

test("valid tokens come first, the newest first", () => {
  const tokens = [
    token("revoked", "2026-11-30", { revoked_at: "2026-11-30T00:00:00.000Z" }),
    token("old", "2026-11-01"),
    token("new", "2026-11-20"),
  ];
  assert.deepEqual(sorted(tokens, now).map((one) => one.token_id), ["new", "old", "revoked"]);
});
