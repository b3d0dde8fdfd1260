// Percent-encoding of the parts of a URL.

/** The characters that are percent-encoded in each part of a URL. */
export const SETS = {
  control: /[^\x20-\x7e]/u,
  fragment: /[^\x21\x23-\x3b\x3d\x3f-\x5f\x61-\x7e]/u,
  query: /[^\x21\x24-\x3b\x3d\x3f-\x7e]/u,
  specialQuery: /[^\x21\x24-\x26\x28-\x3b\x3d\x3f-\x7e]/u,
  path: /[^\x21\x24-\x3b\x3d\x40-\x5d\x5f\x61-\x7a\x7c\x7e]/u,
  userinfo: /[^!$%&'()*+,\-.0-9A-Z_a-z~]/u,
};

const encoder = () => new TextEncoder();
const hex = (byte) => `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;

/** Encodes the characters of a set as UTF-8 in `%` escapes. */
export function encode(text, set) {
  let result = "";
  for (const character of text) result += set.test(character) ? Array.from(encoder().encode(character), hex).join("") : character;
  return result;
}

/** Returns the UTF-8 of text, with its `%` escapes decoded. */
export function decode(text) {
  const bytes = encoder().encode(text);
  const result = [];
  for (let at = 0; at < bytes.length; at++) {
    const pair = bytes[at] === 0x25 && String.fromCharCode(bytes[at + 1] ?? 0, bytes[at + 2] ?? 0);
    if (pair && /^[0-9A-Fa-f]{2}$/.test(pair)) {
      result.push(Number.parseInt(pair, 16));
      at += 2;
    } else result.push(bytes[at]);
  }
  return new Uint8Array(result);
}

/** Returns text in which a surrogate without its partner is U+FFFD. */
export function wellFormed(value) {
  const text = String(value);
  return text.toWellFormed?.() ?? text;
}
