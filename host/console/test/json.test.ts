import assert from "node:assert/strict";
import { test } from "node:test";

import { JsonError, parseJson, pretty, tryJson } from "../src/text/json";

test("numbers keep their text", () => {
  for (const text of [
    "18446744073709551615",
    "9007199254740993",
    "-0",
    "1.10",
    "1e400",
    "-1.5E-7",
    "0.1000000000000000055511151231257827",
  ]) {
    const document = parseJson(` ${text} `);
    assert.equal(document.kind(document.root), "number");
    assert.equal(document.text(document.root), text);
    assert.equal(pretty(parseJson(`{"n":[${text}]}`)), `{\n  "n": [\n    ${text}\n  ]\n}`);
  }
});

test("members keep order, duplicates and the spelling of strings", () => {
  const source = '{"b":1,"a":"\\u00e9\\n","b":{"":[]},"c":{}}';
  const document = parseJson(source);
  const members = document.children(document.root);
  assert.deepEqual(
    members.map(({ key }) => key),
    ["b", "a", "b", "c"],
  );
  assert.equal(document.text(members[1]!.value), '"\\u00e9\\n"');
  assert.equal(document.count(document.root), 4);
  assert.equal(document.get(document.root, "c"), members[3]!.value);
  assert.equal(document.get(document.root, "d"), undefined);
  assert.equal(
    pretty(document),
    '{\n  "b": 1,\n  "a": "\\u00e9\\n",\n  "b": {\n    "": []\n  },\n  "c": {}\n}',
  );
});

test("children are read in pages", () => {
  const document = parseJson(`[${Array.from({ length: 250 }, (_, at) => `[${at},{"x":${at}}]`).join(",")}]`);
  assert.equal(document.count(0), 250);
  const page = document.children(0, 100, 3);
  assert.deepEqual(
    page.map(({ value }) => document.text(value)),
    [100, 101, 102].map((at) => `[${at},{"x":${at}}]`),
  );
  assert.deepEqual(document.children(0, 249).length, 1);
  assert.deepEqual(document.children(0, 250).length, 0);
});

test("what JSON.parse takes is taken, and what it refuses is refused", () => {
  const texts = [
    "",
    " ",
    "{",
    "[",
    "]",
    "{}",
    "[]",
    "[1,]",
    "{,}",
    '{"a":1,}',
    '{"a"}',
    '{"a":}',
    "{1:2}",
    "[1 2]",
    "nul",
    "null",
    "true false",
    "01",
    "1.",
    ".5",
    "+1",
    "-",
    "1e",
    "NaN",
    "'a'",
    '"a',
    '"\\x"',
    '"\\u12g4"',
    '"\\u12"',
    '"a\nb"',
    '"\\"',
    "[[[]]]",
    "[[]",
    '{"a":{"b":[1,{"c":null}]},"d":[[],{}]}',
    "[,1]",
    "\ufeff1",
    "1\u00a0",
    '"\u2028"',
    "//x\n1",
    "{}{}",
    "[]]",
    " [ 1 , 2 ] ",
    '["\ud800"]',
  ];
  for (const text of texts) {
    let expected = true;
    try {
      JSON.parse(text);
    } catch {
      expected = false;
    }
    assert.equal(tryJson(text) !== undefined, expected, JSON.stringify(text));
  }
});

test("changed documents are judged as JSON.parse judges them, and read the same", () => {
  let seed = 3;
  const random = (below: number) => {
    seed = (seed * 1103515245 + 12345) & 0x7fffffff;
    return (seed >> 8) % below;
  };
  const start = '{"a":[1,2.5,{"b":"x\\n\\u00e9","c":[true,false,null]}],"d":{},"e":"🐝"}';
  const letters = '{}[]",:\\0123456789truefalsn .eE+-\n';
  for (let round = 0; round < 5000; round += 1) {
    let text = start;
    for (let edits = random(4); edits >= 0; edits -= 1) {
      const at = random(text.length);
      text = text.slice(0, at) + letters[random(letters.length)]! + text.slice(at + random(3));
    }
    let expected: unknown;
    try {
      expected = JSON.parse(text);
    } catch {
      assert.equal(tryJson(text), undefined, text);
      continue;
    }
    assert.deepEqual(JSON.parse(pretty(parseJson(text))), expected, text);
  }
});

test("an error names line, column and what was expected", () => {
  assert.throws(
    () => parseJson('{\n  "a": 1\n  "b": 2\n}'),
    (error: unknown) =>
      error instanceof JsonError && error.line === 3 && error.column === 3 && /","/.test(error.message),
  );
});

test("depth is no danger", () => {
  const deep = "[".repeat(200_000) + "]".repeat(200_000);
  assert.equal(parseJson(deep).count(0), 1);
  assert.equal(tryJson("[".repeat(200_000)), undefined);
});

test("a document of megabytes is read in a moment", () => {
  const source = `[${Array.from({ length: 60_000 }, (_, at) => `{"id":${at},"name":"worker ${at}","big":18446744073709551615}`).join(",")}]`;
  const start = process.cpuUsage();
  const document = parseJson(source);
  document.children(0, 59_990, 10);
  assert.ok(process.cpuUsage(start).user / 1000 < 1500, `${source.length} units took too long`);
  assert.equal(document.count(0), 60_000);
});
