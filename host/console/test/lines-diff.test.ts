import assert from "node:assert/strict";
import { test } from "node:test";

import { compareLines } from "../src/text/lines-diff";

function marks(left: string, right: string): string[] {
  const sides = compareLines(left, right);
  const text = (side: typeof sides.left) =>
    side.map((line) => `${line.changed ? "*" : ""}${line.text}`).join(" ");
  return [text(sides.left), text(sides.right)];
}

test("lines of one side only are marked", () => {
  assert.deepEqual(marks("a\nb\nc", "a\nx\nc"), ["a *b c", "a *x c"]);
  assert.deepEqual(marks("a\nb", "a\nnew\nb"), ["a b", "a *new b"]);
  assert.deepEqual(marks("same", "same"), ["same", "same"]);
});

test("an empty side has no lines", () => {
  assert.deepEqual(marks("", "a"), ["", "*a"]);
  assert.deepEqual(marks("", ""), ["", ""]);
});

test("long texts are compared place by place", () => {
  const long = Array.from({ length: 700 }, (_, at) => String(at));
  const other = [...long];
  other[3] = "x";
  const { left, right } = compareLines(long.join("\n"), other.join("\n"));
  assert.deepEqual(left.filter((line) => line.changed).map((line) => line.text), ["3"]);
  assert.deepEqual(right.filter((line) => line.changed).map((line) => line.text), ["x"]);
});
