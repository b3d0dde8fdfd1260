// TextEncoder and TextDecoder for UTF-8, UTF-16 and windows-1252 (whose labels include latin1).

const CHUNK = 8192;
/** The length from which text is encoded by functions of the engine, which an interpreter needs. */
const LONG = 64;

/** Encodes text as UTF-8. */
export class TextEncoder {
  get encoding() {
    return "utf-8";
  }

  encode(text = "") {
    const whole = String(text);
    if (whole.length >= LONG && Uint8Array.fromBase64) return encodeLong(whole);
    const bytes = new Uint8Array(whole.length * 3);
    return bytes.slice(0, encodeFrom(whole, 0, bytes, 0).written);
  }

  encodeInto(text, target) {
    const { read, written } = encodeFrom(String(text), 0, target, 0);
    return { read, written };
  }
}

/** Encodes text by way of `%` escapes and base 64, all of which is the engine's own code. */
function encodeLong(text) {
  // A repetition such as `^[…]*$` would keep a place to go back to for every character.
  const latin = !/[^\0-\x7f]/.test(text) ? text : unescape(encodeURIComponent(text.toWellFormed()));
  return Uint8Array.fromBase64(btoa(latin));
}

/** Writes the UTF-8 of `text` from a position while whole characters fit. */
function encodeFrom(text, read, bytes, written) {
  while (read < text.length) {
    let code = text.charCodeAt(read);
    if (code < 0x80 && written < bytes.length) {
      bytes[written++] = code;
      read++;
      continue;
    }
    let units = 1;
    if (code >= 0xd800 && code <= 0xdfff) {
      const low = code < 0xdc00 ? text.charCodeAt(read + 1) : NaN;
      if (low >= 0xdc00 && low <= 0xdfff) {
        code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
        units = 2;
      } else code = 0xfffd;
    }
    const size = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    if (written + size > bytes.length) break;
    if (size === 1) bytes[written++] = code;
    else {
      bytes[written++] = [0xc0, 0xe0, 0xf0][size - 2] | (code >> (6 * (size - 1)));
      for (let shift = 6 * (size - 2); shift >= 0; shift -= 6) bytes[written++] = 0x80 | ((code >> shift) & 0x3f);
    }
    read += units;
  }
  return { read, written };
}

const LABELS = new Map();
for (const [encoding, labels] of [
  ["utf-8", "unicode-1-1-utf-8 unicode11utf8 unicode20utf8 utf-8 utf8 x-unicode20utf8"],
  ["utf-16le", "csunicode iso-10646-ucs-2 ucs-2 unicode unicodefeff utf-16 utf-16le"],
  ["utf-16be", "unicodefffe utf-16be"],
  ["windows-1252", "ansi_x3.4-1968 ascii cp1252 cp819 csisolatin1 ibm819 iso-8859-1 iso-ir-100 iso8859-1 iso88591 iso_8859-1 iso_8859-1:1987 l1 latin1 us-ascii windows-1252 x-cp1252"],
]) {
  for (const label of labels.split(" ")) LABELS.set(label, encoding);
}

/** The characters 0x80 to 0x9f of windows-1252. */
const HIGH = "€\x81‚ƒ„…†‡ˆ‰Š‹Œ\x8dŽ\x8f\x90‘’“”•–—˜™š›œ\x9džŸ";

/** Decodes bytes as text. */
export class TextDecoder {
  #encoding;
  #fatal;
  #ignoreBOM;
  #left = new Uint8Array();
  #begun = false;

  constructor(label = "utf-8", options = {}) {
    const encoding = LABELS.get(String(label).trim().toLowerCase());
    if (encoding === undefined) throw new RangeError(`TextDecoder: the encoding ${label} is not here: utf-8, utf-16le, utf-16be and windows-1252 are`);
    this.#encoding = encoding;
    this.#fatal = Boolean(options?.fatal);
    this.#ignoreBOM = Boolean(options?.ignoreBOM);
  }

  get encoding() {
    return this.#encoding;
  }

  get fatal() {
    return this.#fatal;
  }

  get ignoreBOM() {
    return this.#ignoreBOM;
  }

  decode(input = new Uint8Array(), options = {}) {
    const more = Boolean(options?.stream);
    const bytes = join(this.#left, view(input));
    const fail = this.#fatal
      ? () => {
          this.#reset();
          throw new TypeError(`The encoded data was not valid for encoding ${this.#encoding}`);
        }
      : undefined;
    const { text, left } = DECODERS[this.#encoding](bytes, more, fail);
    const shown = this.#withoutMark(text);
    if (more) this.#left = left;
    else this.#reset();
    return shown;
  }

  #reset() {
    this.#left = new Uint8Array();
    this.#begun = false;
  }

  #withoutMark(text) {
    if (this.#begun || text === "") return text;
    this.#begun = true;
    const marked = this.#encoding !== "windows-1252" && !this.#ignoreBOM && text.charCodeAt(0) === 0xfeff;
    return marked ? text.slice(1) : text;
  }
}

function view(input) {
  if (input instanceof Uint8Array) return input;
  if (ArrayBuffer.isView(input)) return new Uint8Array(input.buffer, input.byteOffset, input.byteLength);
  if (input instanceof ArrayBuffer || (typeof SharedArrayBuffer !== "undefined" && input instanceof SharedArrayBuffer)) return new Uint8Array(input);
  throw new TypeError('The "list" argument must be an instance of SharedArrayBuffer, ArrayBuffer or ArrayBufferView.');
}

function join(left, bytes) {
  if (left.length === 0) return bytes;
  const all = new Uint8Array(left.length + bytes.length);
  all.set(left);
  all.set(bytes, left.length);
  return all;
}

const DECODERS = {
  "utf-8": decodeUtf8,
  "utf-16le": (bytes, more, fail) => decodeUtf16(bytes, more, fail, 0),
  "utf-16be": (bytes, more, fail) => decodeUtf16(bytes, more, fail, 1),
  "windows-1252": decodeWindows1252,
};

function decodeUtf8(bytes, more, fail) {
  const parts = [];
  let at = 0;
  while (at < bytes.length) {
    const end = endOfChunk(bytes, at);
    const valid = decodeValid(String.fromCharCode.apply(null, bytes.subarray(at, end)));
    if (valid !== undefined) {
      parts.push(valid);
      at = end;
      continue;
    }
    const decoded = decodeChunk(bytes, at, end, more, fail);
    parts.push(decoded.text);
    at = decoded.at;
    if (decoded.incomplete) break;
  }
  return { text: parts.join(""), left: bytes.slice(at) };
}

/** Returns where a chunk ends, not within a character where that can be helped. */
function endOfChunk(bytes, at) {
  let end = Math.min(bytes.length, at + CHUNK);
  for (let back = 0; back < 3 && end < bytes.length && (bytes[end] & 0xc0) === 0x80; back++) end--;
  return end;
}

/** Decodes UTF-8 whose bytes are the characters of a string, or returns `undefined`. */
function decodeValid(latin) {
  if (/^[\0-\x7f]*$/.test(latin)) return latin;
  try {
    return decodeURIComponent(escape(latin));
  } catch {
    return undefined;
  }
}

/** Decodes characters that begin before `end`. */
function decodeChunk(bytes, at, end, more, fail) {
  let text = "";
  let units = [];
  const put = (code) => {
    if (code > 0xffff) units.push(0xd800 + ((code - 0x10000) >> 10), 0xdc00 + ((code - 0x10000) & 0x3ff));
    else units.push(code);
    if (units.length > 4096) {
      text += String.fromCharCode.apply(null, units);
      units = [];
    }
  };
  const done = (incomplete) => ({ text: text + String.fromCharCode.apply(null, units), at, incomplete });
  while (at < end) {
    const first = bytes[at];
    if (first < 0x80) {
      put(first);
      at++;
      continue;
    }
    const need = first < 0xc2 ? 0 : first < 0xe0 ? 1 : first < 0xf0 ? 2 : first < 0xf5 ? 3 : 0;
    const low = first === 0xe0 ? 0xa0 : first === 0xf0 ? 0x90 : 0x80;
    const high = first === 0xed ? 0x9f : first === 0xf4 ? 0x8f : 0xbf;
    let code = first & (0x3f >> need);
    let got = 0;
    while (got < need && at + got + 1 < bytes.length) {
      const byte = bytes[at + got + 1];
      if (byte < (got === 0 ? low : 0x80) || byte > (got === 0 ? high : 0xbf)) break;
      code = (code << 6) | (byte & 0x3f);
      got++;
    }
    if (need > 0 && got === need) put(code);
    else {
      if (need > 0 && more && at + got + 1 >= bytes.length) return done(true);
      fail?.();
      put(0xfffd);
    }
    at += got + 1;
  }
  return done(false);
}

function decodeUtf16(bytes, more, fail, big) {
  const parts = [];
  let units = [];
  let at = 0;
  const put = (unit) => {
    units.push(unit);
    if (units.length >= CHUNK) {
      parts.push(String.fromCharCode.apply(null, units));
      units = [];
    }
  };
  const bad = () => {
    fail?.();
    put(0xfffd);
  };
  const unitAt = (index) => (bytes[index + big] | (bytes[index + 1 - big] << 8));
  while (at + 1 < bytes.length) {
    const unit = unitAt(at);
    if (unit >= 0xd800 && unit <= 0xdbff) {
      if (at + 3 >= bytes.length) {
        if (more) break;
        bad();
        at = bytes.length;
        break;
      }
      const next = unitAt(at + 2);
      if (next >= 0xdc00 && next <= 0xdfff) {
        put(unit);
        put(next);
        at += 4;
        continue;
      }
      bad();
    } else if (unit >= 0xdc00 && unit <= 0xdfff) bad();
    else put(unit);
    at += 2;
  }
  if (!more && at < bytes.length) bad();
  parts.push(String.fromCharCode.apply(null, units));
  return { text: parts.join(""), left: bytes.slice(at) };
}

function decodeWindows1252(bytes) {
  const parts = [];
  for (let at = 0; at < bytes.length; at += CHUNK) {
    const latin = String.fromCharCode.apply(null, bytes.subarray(at, at + CHUNK));
    parts.push(latin.replace(/[\x80-\x9f]/g, (character) => HIGH[character.charCodeAt(0) - 0x80]));
  }
  return { text: parts.join(""), left: new Uint8Array() };
}
