// Bytes as hexadecimal text, base64 and dumps.

/** Writes bytes as hexadecimal digits. */
export function toHex(bytes: Uint8Array, separator = ""): string {
  const parts: string[] = [];
  for (const byte of bytes) parts.push(byte.toString(16).padStart(2, "0"));
  return parts.join(separator);
}

/** The result of reading hexadecimal text. */
export type HexRead = { readonly bytes: Uint8Array } | { readonly problem: string };

/** Reads pairs of hexadecimal digits. Spaces, line breaks, colons, commas and `0x` may separate
 * them. */
export function fromHex(text: string): HexRead {
  const bytes = new Uint8Array(text.length >> 1);
  let size = 0;
  let at = 0;
  while (at < text.length) {
    const character = text[at]!;
    if (/[\s:,_]/.test(character)) {
      at += 1;
      continue;
    }
    if (character === "0" && /[xX]/.test(text[at + 1] ?? "")) {
      at += 2;
      continue;
    }
    const pair = text.slice(at, at + 2);
    if (!/^[0-9a-fA-F]{2}$/.test(pair)) {
      const isHalf = /^[0-9a-fA-F]/.test(pair);
      const place = `character ${at + 1}`;
      return { problem: isHalf ? `${place}: a byte needs two digits` : `${place} is not a digit of 0-9 a-f` };
    }
    bytes[size] = parseInt(pair, 16);
    size += 1;
    at += 2;
  }
  return { bytes: bytes.slice(0, size) };
}

/** Reads base64; undefined if it is none. */
export function fromBase64(text: string): Uint8Array | undefined {
  try {
    const binary = atob(text);
    const bytes = new Uint8Array(binary.length);
    for (let at = 0; at < binary.length; at += 1) bytes[at] = binary.charCodeAt(at);
    return bytes;
  } catch {
    return undefined;
  }
}

/** Writes bytes as base64. */
export function toBase64(bytes: Uint8Array): string {
  // `fromCharCode` takes its characters as arguments, and engines limit their number.
  const parts: string[] = [];
  for (let at = 0; at < bytes.length; at += 0x8000) {
    parts.push(String.fromCharCode(...bytes.subarray(at, at + 0x8000)));
  }
  return btoa(parts.join(""));
}

/** One line of a dump. */
export interface HexLine {
  readonly offset: string;
  readonly hex: string;
  readonly text: string;
}

/** Bytes of one line of a dump. */
export const LINE_BYTES = 16;

/** Writes bytes as lines of a dump: offset, digits, and printable ASCII with a dot for the rest. */
export function dump(bytes: Uint8Array, from = 0, lines = Infinity): HexLine[] {
  const found: HexLine[] = [];
  for (let at = from; at < bytes.length && found.length < lines; at += LINE_BYTES) {
    const part = bytes.subarray(at, at + LINE_BYTES);
    let text = "";
    for (const byte of part) text += byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : ".";
    const half = toHex(part.subarray(0, 8), " ");
    const rest = toHex(part.subarray(8), " ");
    found.push({ offset: at.toString(16).padStart(8, "0"), hex: rest ? `${half}  ${rest}` : half, text });
  }
  return found;
}

/** Reads bytes as UTF-8; undefined if they are not. */
export function utf8(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return undefined;
  }
}
