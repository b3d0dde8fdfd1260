// Host names beyond ASCII: mapping, and punycode (RFC 3492).

const BASE = 36;
const T_MIN = 1;
const T_MAX = 26;
const SKEW = 38;
const DAMP = 700;
const FIRST_BIAS = 72;
const FIRST_CODE = 128;

function adapt(delta, count, first) {
  let left = first ? Math.floor(delta / DAMP) : delta >> 1;
  left += Math.floor(left / count);
  let steps = 0;
  for (; left > ((BASE - T_MIN) * T_MAX) >> 1; steps += BASE) left = Math.floor(left / (BASE - T_MIN));
  return steps + Math.floor(((BASE - T_MIN + 1) * left) / (left + SKEW));
}

const digit = (value) => String.fromCharCode(value < 26 ? 97 + value : 22 + value);

/** Encodes a label as punycode, without the prefix `xn--`. */
export function encodeLabel(label) {
  const codes = Array.from(label, (character) => character.codePointAt(0));
  const basic = codes.filter((code) => code < FIRST_CODE);
  let text = String.fromCharCode(...basic) + (basic.length > 0 ? "-" : "");
  let [code, delta, bias, done] = [FIRST_CODE, 0, FIRST_BIAS, basic.length];
  while (done < codes.length) {
    const next = Math.min(...codes.filter((other) => other >= code));
    delta += (next - code) * (done + 1);
    code = next;
    for (const other of codes) {
      if (other < code) delta++;
      if (other !== code) continue;
      text += writeDelta(delta, bias);
      bias = adapt(delta, done + 1, done === basic.length);
      delta = 0;
      done++;
    }
    delta++;
    code++;
  }
  return text;
}

function writeDelta(delta, bias) {
  let text = "";
  let left = delta;
  for (let k = BASE; ; k += BASE) {
    const t = k <= bias ? T_MIN : k >= bias + T_MAX ? T_MAX : k - bias;
    if (left < t) return text + digit(left);
    text += digit(t + ((left - t) % (BASE - t)));
    left = Math.floor((left - t) / (BASE - t));
  }
}

/** Maps a host name to ASCII, or returns `undefined` where it cannot be one. */
export function toAscii(domain) {
  if (/^[\0-\x7f]*$/.test(domain) && !/(^|\.)xn--/i.test(domain)) return domain.toLowerCase();
  const mapped = domain
    .replace(/[\u00ad\u034f\u180b-\u180d\u200b\u2060\ufe00-\ufe0f\ufeff]/g, "")
    .normalize("NFKC")
    .replaceAll("ẞ", "ss")
    .toLowerCase()
    .normalize("NFC")
    .replace(/[\u3002\uff0e\uff61]/g, ".");
  const labels = mapped.split(".");
  if (labels.some((label) => /^\p{M}/u.test(label) || /[\ud800-\udfff\ufffd\p{C}\p{Z}]/u.test(label))) return undefined;
  return labels.map((label) => (/^[\0-\x7f]*$/.test(label) ? label : `xn--${encodeLabel(label)}`)).join(".");
}
