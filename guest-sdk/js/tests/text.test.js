// TextEncoder and TextDecoder give what Node's own give.
import assert from "node:assert/strict";
import { test } from "node:test";
import { TextDecoder as Decoder, TextEncoder as Encoder } from "../src/globals/text.js";
import { makeRandom } from "./random.js";

const TEXTS = ["", "plain", "é€😀", "\ud800", "a\udc00b", "\ud83d\ude00\ud83d", "x".repeat(9000) + "é", "\ufeffbom", "\0"];

function outcome(run) {
  try {
    return run();
  } catch (error) {
    return error.name;
  }
}

test("text is encoded as Node encodes it", () => {
  for (const text of TEXTS) {
    assert.deepEqual(new Encoder().encode(text), new TextEncoder().encode(text), JSON.stringify(text.slice(0, 20)));
    for (const size of [0, 1, 2, 3, 5, 8]) {
      const [mine, theirs] = [new Uint8Array(size), new Uint8Array(size)];
      assert.deepEqual(new Encoder().encodeInto(text, mine), new TextEncoder().encodeInto(text, theirs));
      assert.deepEqual(mine, theirs);
    }
  }
});

test("random bytes are decoded as Node decodes them, whole and in pieces", () => {
  const random = makeRandom(7);
  const lead = [0x41, 0x80, 0xbf, 0xc0, 0xc2, 0xdf, 0xe0, 0xa0, 0xed, 0x9f, 0xef, 0xbb, 0xf0, 0x90, 0xf4, 0x8f, 0xf5, 0xff, 0xd8, 0x00, 0xdc];
  for (let count = 0; count < 20_000; count++) {
    const bytes = Uint8Array.from({ length: random(12) }, () => (random(2) ? lead[random(lead.length)] : random(256)));
    for (const label of ["utf-8", "utf-16le"]) {
      for (const options of [{}, { fatal: true }, { ignoreBOM: true }]) {
        const [mine, theirs] = [new Decoder(label, options), new TextDecoder(label, options)];
        assert.equal(outcome(() => mine.decode(bytes)), outcome(() => theirs.decode(bytes)), `${label} ${JSON.stringify(options)} ${bytes}`);
      }
      const at = random(bytes.length + 1);
      const pieces = (decoder) => decoder.decode(bytes.subarray(0, at), { stream: true }) + decoder.decode(bytes.subarray(at), { stream: true }) + decoder.decode();
      assert.equal(pieces(new Decoder(label)), pieces(new TextDecoder(label)), `${label} at ${at} ${bytes}`);
    }
  }
});

test("text longer than a chunk is decoded whole", () => {
  for (const unit of ["é", "😀", "a€"]) {
    const text = unit.repeat(30_000);
    assert.equal(new Decoder().decode(new TextEncoder().encode(text)), text);
    assert.equal(new Decoder("utf-16le").decode(new Uint8Array(Buffer.from(text, "utf16le"))), text);
  }
});

test("windows-1252 has the labels and characters of the standard", () => {
  // Node 20 decodes 0x80 to 0x9f as control characters, against the standard.
  assert.equal(new Decoder("latin1").decode(new Uint8Array([0x41, 0x80, 0x81, 0x99, 0x9f, 0xa0, 0xe9, 0xff])), "A€\x81™Ÿ\xa0éÿ");
  assert.equal(new Decoder(" ASCII ").encoding, "windows-1252");
  assert.throws(() => new Decoder("shift_jis"), RangeError);
});
