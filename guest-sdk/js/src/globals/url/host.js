// The host of a URL: a domain, an IPv4 or an IPv6 address.
import { toAscii } from "./punycode.js";
import { SETS, decode, encode } from "./percent.js";

const FORBIDDEN_HOST = /[\0\t\n\r #/:<>?@[\\\]^|]/;
const FORBIDDEN_DOMAIN = /[\0-\x20#%/:<>?@[\\\]^|\x7f]/;

/** The error of a URL that cannot be parsed. */
export class Invalid extends Error {}

function parseIpv4Number(text) {
  if (text === "") return undefined;
  const [digits, radix, allowed] = /^0[xX]/.test(text) ? [text.slice(2), 16, /^[0-9A-Fa-f]*$/] : text.length > 1 && text[0] === "0" ? [text.slice(1), 8, /^[0-7]*$/] : [text, 10, /^[0-9]*$/];
  if (!allowed.test(digits)) return undefined;
  return digits === "" ? 0 : Number.parseInt(digits, radix);
}

function endsInNumber(host) {
  const parts = host.split(".");
  if (parts.at(-1) === "") {
    if (parts.length === 1) return false;
    parts.pop();
  }
  const last = parts.at(-1);
  return /^[0-9]+$/.test(last) || /^0[xX][0-9A-Fa-f]*$/.test(last);
}

function parseIpv4(host) {
  const parts = host.split(".");
  if (parts.at(-1) === "" && parts.length > 1) parts.pop();
  if (parts.length > 4) throw new Invalid();
  const numbers = parts.map(parseIpv4Number);
  if (numbers.some((number) => number === undefined)) throw new Invalid();
  const last = numbers.pop();
  if (numbers.some((number) => number > 255) || last >= 256 ** (4 - numbers.length)) throw new Invalid();
  const value = numbers.reduce((sum, number, index) => sum + number * 256 ** (3 - index), last);
  return [3, 2, 1, 0].map((place) => Math.floor(value / 256 ** place) % 256).join(".");
}

function parseIpv6(text) {
  const halves = text.split("::");
  if (halves.length > 2 || text === "") throw new Invalid();
  const pieces = (half) => (half === "" ? [] : half.split(":"));
  const expand = (list, isLast) =>
    list.flatMap((piece, index) => {
      if (isLast && index === list.length - 1 && piece.includes(".")) return ipv4Pieces(piece);
      if (!/^[0-9A-Fa-f]{1,4}$/.test(piece)) throw new Invalid();
      return [Number.parseInt(piece, 16)];
    });
  const left = expand(pieces(halves[0]), halves.length === 1);
  const right = halves.length === 2 ? expand(pieces(halves[1]), true) : [];
  const missing = 8 - left.length - right.length;
  if (halves.length === 1 ? missing !== 0 : missing < 1) throw new Invalid();
  return writeIpv6([...left, ...Array(missing).fill(0), ...right]);
}

function ipv4Pieces(text) {
  const numbers = text.split(".");
  if (numbers.length !== 4 || numbers.some((number) => !/^(0|[1-9][0-9]{0,2})$/.test(number) || Number(number) > 255)) throw new Invalid();
  const [a, b, c, d] = numbers.map(Number);
  return [a * 256 + b, c * 256 + d];
}

function writeIpv6(pieces) {
  let best = { at: -1, length: 1 };
  for (let at = 0; at < 8; at++) {
    let length = 0;
    while (at + length < 8 && pieces[at + length] === 0) length++;
    if (length > best.length) best = { at, length };
  }
  const write = (list) => list.map((piece) => piece.toString(16)).join(":");
  if (best.at < 0) return `[${write(pieces)}]`;
  return `[${write(pieces.slice(0, best.at))}::${write(pieces.slice(best.at + best.length))}]`;
}

/** Parses the host of a URL whose scheme is special or one's own. */
export function parseHost(text, special) {
  if (text.startsWith("[")) {
    if (!text.endsWith("]")) throw new Invalid();
    return parseIpv6(text.slice(1, -1));
  }
  if (!special) {
    if (FORBIDDEN_HOST.test(text)) throw new Invalid();
    return encode(text, SETS.control);
  }
  const domain = new TextDecoder("utf-8", { ignoreBOM: true }).decode(decode(text));
  const ascii = toAscii(domain);
  if (ascii === undefined || ascii === "" || FORBIDDEN_DOMAIN.test(ascii)) throw new Invalid();
  return endsInNumber(ascii) ? parseIpv4(ascii) : ascii;
}
