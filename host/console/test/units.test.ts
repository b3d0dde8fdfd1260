import assert from "node:assert/strict";
import { test } from "node:test";

import { bytes, exactBytes, grouped, limitValue, parseLimit, short } from "../src/text/bytes";
import { dump, fromBase64, fromHex, toBase64, toHex, utf8 } from "../src/text/hex";
import { absolute, duration, relative, relativeLife, rfc3339 } from "../src/text/time";

test("sizes are shown with three digits, or exactly", () => {
  assert.deepEqual([0, 1023, 1024, 1536, 10_240, 1_048_575, 268_435_456, 1e15].map(bytes), [
    "0 B",
    "1023 B",
    "1 KiB",
    "1.5 KiB",
    "10 KiB",
    "1 MiB",
    "256 MiB",
    "909 TiB",
  ]);
  assert.deepEqual([1000, 1536, 268_435_456].map(exactBytes), ["1,000 B", "1,536 B", "256 MiB"]);
  assert.deepEqual([999, 1234, 1_234_567, 250_000].map(short), ["999", "1.2k", "1.2M", "250k"]);
  assert.equal(grouped(1234567), "1,234,567");
  assert.equal(grouped(18446744073709551615n), "18,446,744,073,709,551,615");
});

test("limits are written in their unit and read back", () => {
  assert.equal(limitValue(null, "bytes"), "off");
  assert.equal(limitValue(30_000, "milliseconds"), "30 s");
  assert.equal(limitValue(65_536, "count"), "65,536");
  for (const [text, unit, value] of [
    ["64MiB", "bytes", 64 << 20],
    ["1.5 gib", "bytes", 1.5 * 2 ** 30],
    ["65,536", "count", 65_536],
    ["30s", "milliseconds", 30_000],
    ["2 min", "milliseconds", 120_000],
    ["0", "count", 0],
  ] as const) {
    assert.equal(parseLimit(text, unit), value, text);
  }
  for (const text of ["", "x", "-1", "1 parsec", "9007199254740993", "0.3"]) {
    assert.equal(parseLimit(text, "bytes"), undefined, text);
  }
  assert.equal(parseLimit("1 MiB", "count"), undefined);
});

test("hexadecimal text is read with its usual separators", () => {
  for (const text of ["deadbeef", "DE AD be ef", "0xde, 0xad, 0xbe, 0xef", "de:ad:be:ef\n"]) {
    const read = fromHex(text);
    assert.ok("bytes" in read, text);
    assert.equal(toHex(read.bytes), "deadbeef");
  }
  assert.match((fromHex("de a") as { problem: string }).problem, /character 4/);
  assert.match((fromHex("zz") as { problem: string }).problem, /character 1 is not a digit/);
});

test("bytes survive base64", () => {
  const all = Uint8Array.from({ length: 70_000 }, (_, at) => at & 0xff);
  assert.deepEqual(fromBase64(toBase64(all)), all);
  assert.equal(fromBase64("%"), undefined);
});

test("a dump has offset, digits and text", () => {
  const lines = dump(new TextEncoder().encode("Hello, wasm!\n\u0000\u0001\u0002and more"));
  assert.deepEqual(lines[0], {
    offset: "00000000",
    hex: "48 65 6c 6c 6f 2c 20 77  61 73 6d 21 0a 00 01 02",
    text: "Hello, wasm!....",
  });
  assert.equal(lines[1]!.offset, "00000010");
  assert.equal(dump(new Uint8Array(1000), 16, 2).length, 2);
});

test("only UTF-8 is text", () => {
  assert.equal(utf8(new Uint8Array([0xc3, 0xa9])), "é");
  assert.equal(utf8(new Uint8Array([0xc3])), undefined);
});

test("times are relative, absolute and RFC 3339", () => {
  const now = Date.parse("2026-11-30T12:00:00.000Z");
  assert.equal(relative(now - 400, now), "now");
  assert.equal(relative(now - 12_400, now), "12 s ago");
  assert.equal(relative(now - 200_000, now), "3 min ago");
  assert.equal(relative(now + 7_300_000, now), "in 2 h");
  assert.equal(relative(now - 5 * 86_400_000, now), "5 d ago");
  assert.equal(relativeLife(12_400), 601);
  assert.equal(absolute(now, "utc"), "2026-11-30 12:00:00.000Z");
  assert.equal(absolute(now, "utc", "time"), "12:00:00.000");
  assert.equal(rfc3339(now), "2026-11-30T12:00:00.000Z");
  assert.equal(relative(NaN, now) + absolute(NaN, "local") + rfc3339(NaN), "");
});

test("durations have their largest units", () => {
  assert.deepEqual(
    [0, 0.0415, 0.42, 35, 2610, 59_900, 200_000, 3_600_000, 90_000_000].map((ms) => duration(ms)),
    ["0 ms", "0.042 ms", "0.4 ms", "35 ms", "2.61 s", "59.9 s", "3 min 20 s", "1 h", "1 d 1 h"],
  );
});
