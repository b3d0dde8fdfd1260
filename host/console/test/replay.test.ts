import assert from "node:assert/strict";
import { test } from "node:test";

import { compareTurns, summary, turnOf, verdict } from "../src/flows/replay";
import type { components } from "../src/api/schema";

type Entry = components["schemas"]["Entry"];

let seq = 0;
function entry(kind: Entry["kind"], body: string, more: Partial<Entry> = {}): Entry {
  seq += 1;
  return { seq, at: "2026-11-30T00:00:00.000Z", kind, content_type: "text/plain", body, ...more };
}

function turn(output: string, ...more: Entry[]) {
  return turnOf("i", [entry("input", "in"), ...more, entry("output", output)], 3);
}

test("a turn is put together from its entries", () => {
  const denied = JSON.stringify({ wanted: "GET https://a.b", grant: { scopes: [] } });
  const whole = turnOf(
    "i",
    [
      entry("input", "9"),
      entry("event", "1", { label: "count" }),
      entry("log", "hello", { label: "stderr" }),
      entry("denied", denied, { label: "wasi:http/outgoing-handler" }),
      entry("failure", "{}", { outcome: "trapped" }),
    ],
    12,
  );
  assert.equal(whole.input?.text, "9");
  assert.deepEqual(whole.events, [{ label: "count", text: "1" }]);
  assert.deepEqual(whole.denials, [
    { label: "wasi:http/outgoing-handler", text: "GET https://a.b" },
  ]);
  assert.equal(whole.outcome, "trapped");
  assert.equal(whole.ms, 12);
});

test("a turn without an outcome is unfinished", () => {
  const open = turnOf("i", [entry("input", "in")], null);
  assert.equal(verdict(turn("1"), open, null), "unfinished");
  assert.equal(verdict(turn("1"), turn("1"), open), "unfinished");
});

test("outputs differ by bytes and by content type", () => {
  assert.ok(compareTurns(turn("1"), turn("1")).same);
  assert.ok(!compareTurns(turn("1"), turn("2")).output);
  const bytes = turnOf("i", [entry("output", "", { body: null, body_base64: "MQ==" })], null);
  assert.ok(!compareTurns(turn("1"), bytes).output);
});

test("events and denials count, log lines do not", () => {
  const event = (text: string) => turn("1", entry("event", text, { label: "e" }));
  assert.ok(!compareTurns(event("a"), event("b")).same);
  assert.ok(!compareTurns(event("a"), turn("1")).same);
  const log = (text: string) => turn("1", entry("log", text, { label: "stderr" }));
  const compared = compareTurns(log("a"), log("b"));
  assert.ok(compared.same && !compared.logs);
});

test("a difference that the present component shows too is not the update's", () => {
  assert.equal(verdict(turn("1"), turn("1"), turn("1")), "same");
  assert.equal(verdict(turn("1"), turn("5"), turn("5")), "same_as_present");
  assert.equal(verdict(turn("1"), turn("6"), turn("5")), "changed");
  // The update answers as in the past, and the present component no longer does.
  assert.equal(verdict(turn("1"), turn("1"), turn("5")), "changed");
  assert.equal(verdict(turn("1"), turn("6"), null), "differs");
});

test("the summary counts each verdict", () => {
  assert.equal(summary([]), "No input to replay.");
  assert.equal(summary(["same", "same"]), "None of 2 differs.");
  assert.equal(summary(["unfinished"]), "1 not finished.");
  assert.equal(
    summary(["changed", "same_as_present", "unfinished"]),
    "1 of 2 differ; 1 differ from the past, also with the present component; 1 not finished.",
  );
});
