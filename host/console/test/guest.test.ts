import assert from "node:assert/strict";
import { test } from "node:test";

import { SHOWN_BYTES, guestText, isUnsafe, neutral, utf8Bytes } from "../src/text/guest";

const shown = (text: string, lines = false) =>
  guestText(text, { lines })
    .runs.map((run) => (run.classes === "" ? run.text : `<${run.classes}>${run.text}</>`))
    .join("");

test("ordinary text is one plain run", () => {
  const text = 'Grüße, 世界 — ok 🐝 👩‍👩‍👧 \\ " <b>&amp;</b>';
  assert.deepEqual(guestText(text), { runs: [{ text, classes: "" }], hiddenBytes: 0 });
  assert.equal(neutral(text), text);
  assert.deepEqual(guestText(""), { runs: [], hiddenBytes: 0 });
});

test("control characters are visible", () => {
  assert.equal(shown("a\u0007b\r\n\tc\u0000"), "a<esc>\\u{7}</>b<esc>\\r\\n\\t</>c<esc>\\u{0}</>");
  assert.equal(neutral("a\u001b]0;title\u0007"), "a\\u{1b}]0;title\\u{7}");
});

test("lines and tabs stay where a body has several lines", () => {
  assert.equal(shown("a\n\tb\rc", true), "a\n\tb<esc>\\r</>c");
});

test("characters that reorder or hide text are visible", () => {
  for (const code of [
    0x61c, 0x200b, 0x200e, 0x200f, 0x2028, 0x2029, 0x202a, 0x202e, 0x2060, 0x2066, 0x2069, 0xfeff, 0xad, 0x9b,
    0x85, 0xfffb, 0xe0041, 0xe007f,
  ]) {
    const character = String.fromCodePoint(code);
    const escape = `\\u{${code.toString(16)}}`;
    assert.equal(shown(`a${character}b`), `a<esc>${escape}</>b`, escape);
    assert.equal(neutral(`a${character}b`), `a${escape}b`);
  }
});

test("half of a surrogate pair is visible", () => {
  assert.equal(shown("a\ud800b"), "a<esc>\\u{d800}</>b");
  assert.equal(shown("a\udc00"), "a<esc>\\u{dc00}</>");
});

test("no run holds an unsafe character, for any text", () => {
  let seed = 7;
  const random = (below: number) => {
    seed = (seed * 1103515245 + 12345) & 0x7fffffff;
    return seed % below;
  };
  const alphabet = [
    "\u001b[",
    "31m",
    "38;5;",
    "m",
    "\u009b",
    "\u202e",
    "a",
    "\n",
    "\ud83d",
    "\udc1d",
    ";",
    "0",
    "é",
    "世",
  ];
  for (let round = 0; round < 2000; round += 1) {
    let text = "";
    for (let size = random(40); size > 0; size -= 1) text += alphabet[random(alphabet.length)];
    for (const run of guestText(text).runs) {
      for (const character of run.text) assert.ok(!isUnsafe(character.codePointAt(0)!), JSON.stringify(text));
      assert.match(run.classes, /^(esc|(sgr-(1[0-5]|[0-9]))?( ?sgr-bold)?)$/);
    }
  }
});

test("SGR colours become classes, and nothing else of a sequence stays", () => {
  assert.equal(shown("\u001b[31mred\u001b[0m plain"), "<sgr-1>red</> plain");
  assert.equal(shown("\u001b[1;92mok\u001b[22m\u001b[39m."), "<sgr-10 sgr-bold>ok</>.");
  assert.equal(shown("\u001b[38;5;196mx\u001b[m"), "<sgr-9>x</>");
  assert.equal(shown("\u001b[38;2;0;200;0mx"), "<sgr-2>x</>");
  assert.equal(shown("\u001b[41;30mx"), "<sgr-0>x</>", "a background in the text's colour would hide it");
  assert.equal(shown("\u001b[48;5;1mx"), "x");
  assert.equal(shown("\u001b[4;5;7;8mx"), "x", "blinking, inverted and hidden text is ordinary");
});

test("other terminal sequences are shown, not obeyed", () => {
  assert.equal(shown("\u001b[2Jx"), "<esc>\\u{1b}</>[2Jx");
  assert.equal(
    shown("\u001b]8;;https://evil.example\u0007link\u001b]8;;\u0007"),
    "<esc>\\u{1b}</>]8;;https://evil.example<esc>\\u{7}</>link<esc>\\u{1b}</>]8;;<esc>\\u{7}</>",
  );
  assert.equal(shown(`\u001b[${"1;".repeat(99)}mx`).startsWith("<esc>\\u{1b}</>[1;"), true);
});

test("a long text is cut at a character, and the hidden bytes are counted", () => {
  const long = "é".repeat(SHOWN_BYTES);
  const cut = guestText(long);
  assert.equal(cut.runs[0]!.text.length, SHOWN_BYTES / 2);
  assert.equal(cut.hiddenBytes, SHOWN_BYTES);
  const bees = guestText("🐝🐝", { bytes: 5 });
  assert.deepEqual(bees, { runs: [{ text: "🐝", classes: "" }], hiddenBytes: 4 });
  assert.equal(guestText(long, { bytes: Infinity }).hiddenBytes, 0);
});

test("a colour in each character does not make thousands of elements", () => {
  const text = "\u001b[31ma\u001b[32mb".repeat(2000);
  const cut = guestText(text, { bytes: 100_000 });
  assert.ok(cut.runs.length <= 512);
  assert.ok(cut.hiddenBytes > 0);
  assert.ok(guestText("\u0007".repeat(4096)).runs.length === 1);
});

test("a line of 1 MB costs little", () => {
  const line = "x\u202e".repeat(500_000);
  // CPU time: the wall time of a busy machine says nothing.
  const start = process.cpuUsage();
  for (let round = 0; round < 20; round += 1) guestText(line);
  const { user, system } = process.cpuUsage(start);
  assert.ok((user + system) / 1000 / 20 < 50);
});

test("UTF-8 bytes are counted", () => {
  assert.equal(utf8Bytes("aé世🐝\ud800"), 1 + 2 + 3 + 4 + 3);
});
