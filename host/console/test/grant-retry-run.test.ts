import assert from "node:assert/strict";
import { test } from "node:test";

import { type GrantHost, grantAndRetry, retry, undoGrant } from "../src/flows/grant-retry-run";
import { type Grants, NO_GRANTS, sameGrants } from "../src/grants/grants";

const input = { contentType: "text/plain", text: "1", base64: null };
const needs: Grants = { scopes: [], http: [{ scheme: "https", host: "a.b", methods: ["GET"] }] };
const other: Grants = { scopes: [{ name: "cache", guest: "/cache", rights: "ro" }] };

/** A worker with grants, as the host keeps one. */
function worker(grants: Grants, fails = false) {
  const sent: string[] = [];
  const state = { grants };
  const host: GrantHost = {
    grants: () => Promise.resolve(state.grants),
    replace(before, after) {
      if (!sameGrants(before, state.grants)) return Promise.resolve("conflict");
      state.grants = after;
      return Promise.resolve("replaced");
    },
    send(body, key) {
      sent.push(`${key} ${body.text ?? ""}`);
      if (fails) return Promise.reject(new Error("the worker is stopped"));
      return Promise.resolve({ inputId: "again", outcome: "completed" });
    },
  };
  return { host, sent, state };
}

test("the grant is made, then the same input is sent", async () => {
  const { host, sent, state } = worker(NO_GRANTS);
  const done = await grantAndRetry(host, NO_GRANTS, needs, input, "k");
  assert.deepEqual([done.step, sent], ["sent", ["k 1"]]);
  assert.ok(sameGrants(state.grants, needs));
});

test("a concurrent change sends nothing and shows the new grants", async () => {
  const { host, sent, state } = worker(other);
  const done = await grantAndRetry(host, NO_GRANTS, needs, input, "k");
  assert.deepEqual(done, { step: "conflict", now: other });
  assert.deepEqual(sent, []);
  // On top of the new state it works, and keeps the other person's grant.
  const again = await grantAndRetry(host, other, needs, input, "k");
  assert.equal(again.step, "sent");
  assert.ok(sameGrants(state.grants, { ...other, http: needs.http }));
});

test("an input that is not known whole is not sent", async () => {
  const { host, sent } = worker(NO_GRANTS);
  assert.equal((await grantAndRetry(host, NO_GRANTS, needs, null, "k")).step, "granted");
  assert.deepEqual(sent, []);
});

test("a failed send leaves the grant, and may be repeated under the same key", async () => {
  const { host, sent, state } = worker(NO_GRANTS, true);
  const done = await grantAndRetry(host, NO_GRANTS, needs, input, "k");
  assert.equal(done.step, "unsent");
  assert.ok(sameGrants(state.grants, needs));
  await retry(host, NO_GRANTS, needs, input, "k");
  assert.deepEqual(sent, ["k 1", "k 1"]);
});

test("undo restores the grants, unless they were changed since", async () => {
  const { host, state } = worker(needs);
  await undoGrant(host, NO_GRANTS, needs);
  assert.ok(sameGrants(state.grants, NO_GRANTS));
  // A repeated undo is no failure.
  await undoGrant(host, NO_GRANTS, needs);
  state.grants = other;
  await assert.rejects(undoGrant(host, NO_GRANTS, needs), /changed since/);
  assert.ok(sameGrants(state.grants, other));
});
