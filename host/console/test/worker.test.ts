import assert from "node:assert/strict";
import { test } from "node:test";

import type { Entry, EntryKind } from "../src/api/entry";
import { clearDraft, draftFor, isEmptyDraft, readDraft } from "../src/pages/worker/draft";
import { KIND_GROUPS, bodyLength, exitCodeOf, sentenceOf } from "../src/pages/worker/entry-text";
import { diffValues } from "../src/pages/worker/settings/config";
import { readLabels } from "../src/pages/worker/settings/name";

const entry = (kind: EntryKind, body: object | string, more: Partial<Entry> = {}): Entry => ({
  seq: 1,
  at: "2026-11-30T12:00:00.000Z",
  kind,
  content_type: "application/json",
  body: typeof body === "string" ? body : JSON.stringify(body),
  ...more,
});

test("records that Skep wrote are sentences", () => {
  const [old, next] = [`sha256:${"ab".repeat(32)}`, `sha256:${"cd".repeat(32)}`];
  const cases: [Entry, string | undefined][] = [
    [entry("denied", { wanted: "GET https://a.b" }), "GET https://a.b"],
    [entry("denied", "", { label: "wasi:sockets/tcp" }), "wasi:sockets/tcp"],
    [entry("failure", { code: "trap", message: "unreachable" }), "unreachable"],
    [entry("failure", { code: "limit", message: "too much", limit: "memory_bytes" }), "too much (limit memory_bytes)"],
    [
      entry("request", {
        method: "GET", scheme: "https", host: "a.b", port: 443, status: 200, sent_bytes: 0, received_bytes: 512, wall_ms: 35,
      }),
      "GET https://a.b 200 · 0 B sent, 512 B received, 35 ms",
    ],
    [
      entry("request", {
        method: "PUT", scheme: "http", host: "::1", port: 81, error: "connection-refused", sent_bytes: 9, received_bytes: 0, wall_ms: 1,
      }),
      "PUT http://[::1]:81 connection-refused · 9 B sent, 0 B received, 1 ms",
    ],
    [
      entry("updated", { from: { component: old, config: null }, to: { component: next, config: null } }),
      "component abababababab → cdcdcdcdcdcd",
    ],
    [entry("updated", { scopes: [], http: [{ scheme: "https", host: "*.b", methods: ["GET"] }] }, { label: "grants" }), "http GET https://*.b"],
    [entry("updated", { scopes: [] }, { label: "grants" }), "none"],
    [entry("event", { step: 1 }), undefined],
    [entry("log", "{}"), undefined],
  ];
  for (const [of, sentence] of cases) assert.equal(sentenceOf(of), sentence, JSON.stringify(of));
});

test("a record that is no record is no mistake", () => {
  for (const body of ["", "[]", "null", '"x"', "{", '{"scopes":3,"http":"x"}']) {
    for (const kind of ["denied", "failure", "request", "updated", "compiled"] as const) {
      assert.doesNotThrow(() => sentenceOf(entry(kind, body)));
      assert.doesNotThrow(() => sentenceOf(entry(kind, body, { label: "grants" })));
    }
  }
});

test("exit codes and lengths are read", () => {
  assert.equal(exitCodeOf(entry("output", '{"exit_code":3,"stdout":"x"}')), 3);
  assert.equal(exitCodeOf(entry("output", '{"total":3}')), undefined);
  assert.equal(exitCodeOf(entry("event", '{"exit_code":3}')), undefined);
  assert.equal(bodyLength(entry("log", "four", { body_bytes: 1 << 20 })), 1 << 20);
  assert.equal(bodyLength({ ...entry("log", ""), body: null, body_base64: "AAAA" }), 3);
});

test("each kind but the gap is in one group of the filter", () => {
  const kinds = KIND_GROUPS.flatMap((group) => group.kinds);
  assert.equal(new Set(kinds).size, kinds.length);
  assert.equal(kinds.length, 18);
});

const decoded = (ready: ReturnType<typeof readDraft>): string => {
  assert.ok("body" in ready && ready.body instanceof Uint8Array);
  return new TextDecoder().decode(ready.body);
};

test("JSON is sent as it was typed, exactly", () => {
  const draft = draftFor("json", false);
  draft.mode.value = "json";
  draft.text.value = '{ "n": 18446744073709551615, "n": 1.10 }';
  assert.equal(decoded(readDraft(draft)), draft.text.value);
  draft.text.value = '{"n": 1,}';
  assert.match((readDraft(draft) as { problem: string }).problem, /line 1, column 9/);
});

test("bytes and commands are checked before they are sent", () => {
  const draft = draftFor("command", true);
  draft.args.value = "--name\nwith blanks\n";
  draft.env.value = "A=b=c\n";
  draft.stdin.value = "in";
  assert.deepEqual(JSON.parse(decoded(readDraft(draft))), { args: ["--name", "with blanks"], env: { A: "b=c" }, stdin: "in" });
  draft.env.value = "nothing";
  assert.match((readDraft(draft) as { problem: string }).problem, /NAME=value/);
  draft.mode.value = "hex";
  draft.hex.value = "0xde 0xa";
  assert.match((readDraft(draft) as { problem: string }).problem, /two digits/);
  draft.mode.value = "file";
  assert.match((readDraft(draft) as { problem: string }).problem, /file/);
});

test("a draft is kept by worker until it is sent", () => {
  const draft = draftFor("kept", false);
  assert.ok(isEmptyDraft(draft));
  draft.text.value = "half an idea";
  assert.equal(draftFor("kept", false).text.value, "half an idea");
  assert.ok(isEmptyDraft(draftFor("other", false)));
  clearDraft(draft);
  assert.ok(isEmptyDraft(draft));
});

test("labels and config changes are read from text", () => {
  assert.deepEqual(readLabels("a=b\n\n c = d=e"), { a: "b", c: " d=e" });
  assert.match(readLabels("=x") as string, /key=value/);
  assert.deepEqual(diffValues({ a: "1", b: "2", c: "3" }, { a: "1", b: "4", d: "5" }), [
    { mark: "same", text: "a=1" },
    { mark: "removed", text: "b=2" },
    { mark: "added", text: "b=4" },
    { mark: "removed", text: "c=3" },
    { mark: "added", text: "d=5" },
  ]);
});
