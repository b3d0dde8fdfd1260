import assert from "node:assert/strict";
import { test } from "node:test";

import { EventParser } from "../src/api/sse";

test("an event arrives whole, however its text is cut", () => {
  const text = 'retry: 2000\n\nid: 7\nevent: change\ndata: {"a":1}\n\n:\n\nid: 8\ndata: x\n\n';
  const whole = [
    { id: "7", name: "change", data: '{"a":1}' },
    { id: "8", name: "message", data: "x" },
  ];
  for (let size = 1; size <= text.length; size += 1) {
    const parser = new EventParser();
    const events = [];
    for (let at = 0; at < text.length; at += size) events.push(...parser.push(text.slice(at, at + size)));
    assert.deepEqual(events, whole, `in pieces of ${size}`);
  }
});

test("an event without an id keeps the last one", () => {
  const parser = new EventParser();
  const [first, second] = parser.push("id: 7\ndata: a\n\nevent: ready\ndata: b\n\n");
  assert.equal(first?.id, "7");
  assert.deepEqual(second, { id: "7", name: "ready", data: "b" });
});

test("lines of data are joined, and carriage returns dropped", () => {
  const [event] = new EventParser().push("data: a\r\ndata:b\r\n\r\n");
  assert.equal(event?.data, "a\nb");
});

test("an event that is not finished is not told", () => {
  assert.deepEqual(new EventParser().push("id: 7\ndata: a\n"), []);
});

test("a line without end is refused", () => {
  const parser = new EventParser();
  const piece = "x".repeat(8 << 20);
  assert.throws(() => {
    for (let count = 0; count < 6; count += 1) parser.push(piece);
  }, /too long/);
});
