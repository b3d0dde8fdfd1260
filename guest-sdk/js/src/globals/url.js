// URL and URLSearchParams, by the URL standard. A host name with letters beyond ASCII is mapped by
// normalization and lower case, which is the standard's mapping for all but rare characters.
import { toAscii } from "./punycode.js";

const SPECIAL = { "http:": "80", "https:": "443", "ws:": "80", "wss:": "443", "ftp:": "21", "file:": "" };
const FORBIDDEN_HOST = /[\0\t\n\r #/:<>?@[\\\]^|]/;
const FORBIDDEN_DOMAIN = /[\0-\x20#%/:<>?@[\\\]^|\x7f]/;

/** The characters that are percent-encoded in each part of a URL. */
const SETS = {
  control: /[^\x20-\x7e]/u,
  fragment: /[^\x21\x23-\x3b\x3d\x3f-\x5f\x61-\x7e]/u,
  query: /[^\x21\x24-\x3b\x3d\x3f-\x7e]/u,
  specialQuery: /[^\x21\x24-\x26\x28-\x3b\x3d\x3f-\x7e]/u,
  path: /[^\x21\x24-\x3b\x3d\x40-\x5d\x5f\x61-\x7a\x7c\x7e]/u,
  userinfo: /[^!$%&'()*+,\-.0-9A-Z_a-z~]/u,
};

const encoder = () => new TextEncoder();
const hex = (byte) => `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;

function encode(text, set) {
  let result = "";
  for (const character of text) result += set.test(character) ? Array.from(encoder().encode(character), hex).join("") : character;
  return result;
}

function decodePercent(bytes) {
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

class Invalid extends Error {}

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

function parseHost(text, special) {
  if (text.startsWith("[")) {
    if (!text.endsWith("]")) throw new Invalid();
    return parseIpv6(text.slice(1, -1));
  }
  if (!special) {
    if (FORBIDDEN_HOST.test(text)) throw new Invalid();
    return encode(text, SETS.control);
  }
  const domain = new TextDecoder("utf-8", { ignoreBOM: true }).decode(decodePercent(encoder().encode(text)));
  const ascii = toAscii(domain);
  if (ascii === undefined || ascii === "" || FORBIDDEN_DOMAIN.test(ascii)) throw new Invalid();
  return endsInNumber(ascii) ? parseIpv4(ascii) : ascii;
}

const isSpecial = (record) => record.scheme in SPECIAL;
const isDrive = (text) => /^[A-Za-z][:|]$/.test(text);
const startsWithDrive = (text) => /^[A-Za-z][:|]([/\\?#]|$)/.test(text);
const isSingleDot = (text) => /^(\.|%2e)$/i.test(text);
const isDoubleDot = (text) => /^(\.|%2e){2}$/i.test(text);

function emptyRecord() {
  return { scheme: "", username: "", password: "", host: null, port: "", path: [], opaque: false, query: null, fragment: null };
}

/** Parses a URL, with a base record where it is relative. */
function parse(input, base) {
  const text = input.replace(/^[\0-\x20]+|[\0-\x20]+$/g, "").replace(/[\t\n\r]/g, "");
  const scheme = /^([A-Za-z][A-Za-z0-9+.-]*):/.exec(text);
  const record = emptyRecord();
  if (!scheme) {
    if (!base) throw new Invalid();
    return parseRelative(text, base, record);
  }
  record.scheme = scheme[0].toLowerCase();
  const rest = text.slice(scheme[0].length);
  if (record.scheme === "file:") return parseFile(rest, base?.scheme === "file:" ? base : undefined, record);
  if (isSpecial(record)) {
    if (base?.scheme === record.scheme && !rest.startsWith("//")) return parseRelative(rest, base, record);
    return parseAuthority(rest.replace(/^[/\\]*/, ""), record);
  }
  if (rest.startsWith("//")) return parseAuthority(rest.slice(2), record);
  if (rest.startsWith("/")) return parsePath(rest, record);
  record.opaque = true;
  return parseOpaque(rest, record);
}

function splitTail(text, record) {
  const [, front, query, fragment] = /^([^?#]*)(\?[^#]*)?(#.*)?$/s.exec(text);
  if (query !== undefined) setQuery(record, query.slice(1));
  if (fragment !== undefined) record.fragment = encode(fragment.slice(1), SETS.fragment);
  return front;
}

function setQuery(record, text) {
  record.query = encode(text, isSpecial(record) ? SETS.specialQuery : SETS.query);
}

function parseOpaque(text, record) {
  const front = splitTail(text, record);
  let path = encode(front, SETS.control);
  if ((record.query !== null || record.fragment !== null) && path.endsWith(" ")) path = `${path.slice(0, -1)}%20`;
  record.path = path;
  return record;
}

function parseRelative(text, base, record) {
  if (base.opaque) {
    if (!text.startsWith("#")) throw new Invalid();
    return { ...base, fragment: encode(text.slice(1), SETS.fragment) };
  }
  if (base.scheme === "file:") return parseFile(text, base, Object.assign(record, { scheme: "file:" }));
  record.scheme = base.scheme;
  const special = isSpecial(record);
  const slash = special ? /^[/\\]/ : /^\//;
  if (slash.test(text) && slash.test(text.slice(1))) {
    return parseAuthority(special ? text.replace(/^[/\\]*/, "") : text.slice(2), record);
  }
  Object.assign(record, { username: base.username, password: base.password, host: base.host, port: base.port });
  if (slash.test(text)) return parsePath(text, record);
  return parseBelow(text, base, record);
}

/** Parses a path that is relative to that of the base. */
function parseBelow(text, base, record) {
  const front = splitTail(text, record);
  record.path = [...base.path];
  if (front === "") {
    if (record.query === null && !text.startsWith("?")) record.query = base.query;
    return record;
  }
  shorten(record);
  pushPath(front, record);
  return record;
}

function shorten(record) {
  if (record.scheme === "file:" && record.path.length === 1 && /^[A-Za-z]:$/.test(record.path[0])) return;
  record.path.pop();
}

function parseAuthority(text, record) {
  const end = text.search(isSpecial(record) ? /[/\\?#]/ : /[/?#]/);
  const authority = end < 0 ? text : text.slice(0, end);
  const rest = end < 0 ? "" : text.slice(end);
  const at = authority.lastIndexOf("@");
  if (at >= 0) {
    const colon = authority.slice(0, at).indexOf(":");
    record.username = encode(authority.slice(0, colon < 0 ? at : colon), SETS.userinfo);
    record.password = colon < 0 ? "" : encode(authority.slice(colon + 1, at), SETS.userinfo);
  }
  const place = authority.slice(at + 1);
  if (place === "" && at >= 0) throw new Invalid();
  setHostAndPort(record, place);
  return parsePath(rest, record);
}

function setHostAndPort(record, place) {
  const [, host, port] = /^(\[[^\]]*\]|[^:]*)(?::(.*))?$/s.exec(place) ?? [];
  if (host === undefined) throw new Invalid();
  if (host === "" && (isSpecial(record) || port !== undefined)) throw new Invalid();
  record.host = host === "" ? "" : parseHost(host, isSpecial(record));
  if (port !== undefined) setPort(record, port);
}

function setPort(record, text) {
  if (!/^[0-9]*$/.test(text)) throw new Invalid();
  if (text === "") return;
  const port = Number(text);
  if (port > 65535) throw new Invalid();
  record.port = String(port) === SPECIAL[record.scheme] ? "" : String(port);
}

function parseFile(text, base, record) {
  record.host = "";
  const slashes = /^[/\\]{2}/.test(text);
  if (slashes) return parseFileHost(text.slice(2), record);
  if (/^[/\\]/.test(text)) {
    if (base) {
      record.host = base.host;
      if (!startsWithDrive(text.slice(1)) && /^[A-Za-z]:$/.test(base.path[0] ?? "")) record.path.push(base.path[0]);
    }
    const front = splitTail(text, record);
    pushPath(front.slice(1), record);
    return record;
  }
  if (!base) return parsePath(text, record);
  record.host = base.host;
  if (!startsWithDrive(text)) return parseBelow(text, base, record);
  const front = splitTail(text, record);
  pushPath(front, record);
  return record;
}

function parseFileHost(text, record) {
  const end = text.search(/[/\\?#]/);
  const host = end < 0 ? text : text.slice(0, end);
  if (isDrive(host)) return parsePath(text, record);
  if (host !== "") {
    const parsed = parseHost(host, true);
    record.host = parsed === "localhost" ? "" : parsed;
  }
  return parsePath(end < 0 ? "" : text.slice(end), record);
}

function parsePath(text, record) {
  const front = splitTail(text, record);
  const special = isSpecial(record);
  if (special || front !== "") pushPath(/^[/]/.test(front) || (special && front.startsWith("\\")) ? front.slice(1) : front, record);
  return record;
}

/** Appends the segments of a path to that of a record. */
function pushPath(text, record) {
  const segments = text.split(isSpecial(record) ? /[/\\]/ : "/");
  segments.forEach((segment, index) => {
    const last = index === segments.length - 1;
    if (isDoubleDot(segment)) {
      shorten(record);
      if (last) record.path.push("");
    } else if (isSingleDot(segment)) {
      if (last) record.path.push("");
    } else {
      const drive = record.scheme === "file:" && record.path.length === 0 && isDrive(segment);
      record.path.push(drive ? `${segment[0]}:` : encode(segment, SETS.path));
    }
  });
}

function pathOf(record) {
  return record.opaque ? record.path : record.path.map((segment) => `/${segment}`).join("");
}

function write(record, withFragment = true) {
  let text = record.scheme;
  if (record.host !== null) {
    text += "//";
    if (record.username !== "" || record.password !== "") text += `${record.username}${record.password ? `:${record.password}` : ""}@`;
    text += record.host + (record.port ? `:${record.port}` : "");
  } else if (!record.opaque && record.path.length > 1 && record.path[0] === "") text += "/.";
  text += pathOf(record);
  if (record.query !== null) text += `?${record.query}`;
  if (withFragment && record.fragment !== null) text += `#${record.fragment}`;
  return text;
}

function parseForm(text) {
  const plain = (part) => new TextDecoder("utf-8", { ignoreBOM: true }).decode(decodePercent(encoder().encode(part.replaceAll("+", " "))));
  return text.split("&").filter((part) => part !== "").map((part) => {
    const equals = part.indexOf("=");
    return equals < 0 ? [plain(part), ""] : [plain(part.slice(0, equals)), plain(part.slice(equals + 1))];
  });
}

const FORM_SET = /[^*\-.0-9A-Z_a-z ]/u;
const writeForm = (pairs) => pairs.map((pair) => pair.map((text) => encode(text, FORM_SET).replaceAll(" ", "+")).join("=")).join("&");

/** The pairs of a query. */
export class URLSearchParams {
  #pairs = [];
  #changed = () => {};

  constructor(init = "") {
    if (typeof init === "object" && init !== null) {
      if (typeof init[Symbol.iterator] === "function") {
        for (const pair of init) {
          const list = [...pair];
          if (list.length !== 2) throw new TypeError("Each query pair must be an iterable [name, value] tuple");
          this.#pairs.push(list.map(wellFormed));
        }
      } else for (const [name, value] of Object.entries(init)) this.#pairs.push([wellFormed(name), wellFormed(value)]);
      return;
    }
    this.#pairs = parseForm(wellFormed(init).replace(/^\?/, ""));
  }

  static attach = (params, text, changed) => {
    params.#pairs = parseForm(text);
    params.#changed = changed;
  };

  append(name, value) {
    this.#pairs.push([wellFormed(name), wellFormed(value)]);
    this.#changed();
  }

  delete(name, value) {
    const [key, only] = [wellFormed(name), value === undefined ? undefined : wellFormed(value)];
    this.#pairs = this.#pairs.filter(([other, item]) => other !== key || (only !== undefined && item !== only));
    this.#changed();
  }

  get(name) {
    const key = wellFormed(name);
    return this.#pairs.find(([other]) => other === key)?.[1] ?? null;
  }

  getAll(name) {
    const key = wellFormed(name);
    return this.#pairs.filter(([other]) => other === key).map(([, value]) => value);
  }

  has(name, value) {
    const [key, only] = [wellFormed(name), value === undefined ? undefined : wellFormed(value)];
    return this.#pairs.some(([other, item]) => other === key && (only === undefined || item === only));
  }

  set(name, value) {
    const key = wellFormed(name);
    const first = this.#pairs.find(([other]) => other === key);
    if (!first) this.#pairs.push([key, wellFormed(value)]);
    else {
      first[1] = wellFormed(value);
      this.#pairs = this.#pairs.filter((pair) => pair[0] !== key || pair === first);
    }
    this.#changed();
  }

  sort() {
    this.#pairs.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
    this.#changed();
  }

  forEach(run, receiver) {
    for (const [name, value] of this) run.call(receiver, value, name, this);
  }

  get size() {
    return this.#pairs.length;
  }

  *entries() {
    for (let at = 0; at < this.#pairs.length; at++) yield [...this.#pairs[at]];
  }

  *keys() {
    for (const [name] of this) yield name;
  }

  *values() {
    for (const [, value] of this) yield value;
  }

  [Symbol.iterator]() {
    return this.entries();
  }

  toString() {
    return writeForm(this.#pairs);
  }
}

const { attach } = URLSearchParams;
delete URLSearchParams.attach;

function wellFormed(value) {
  return String(value).toWellFormed?.() ?? String(value);
}

/** A URL. */
export class URL {
  #record;
  #params;

  constructor(url, base = undefined) {
    const parsed = tryParse(url, base);
    if (!parsed) throw Object.assign(new TypeError("Invalid URL"), { code: "ERR_INVALID_URL", input: String(url) });
    this.#record = parsed;
  }

  static canParse(url, base = undefined) {
    return tryParse(url, base) !== undefined;
  }

  static parse(url, base = undefined) {
    return URL.canParse(url, base) ? new URL(url, base) : null;
  }

  get href() {
    return write(this.#record);
  }

  set href(value) {
    const parsed = tryParse(value);
    if (!parsed) throw new TypeError("Invalid URL");
    this.#record = parsed;
    this.#refresh();
  }

  get origin() {
    const { scheme } = this.#record;
    if (scheme === "blob:") {
      const inner = tryParse(pathOf(this.#record));
      return inner && ["http:", "https:"].includes(inner.scheme) ? originOf(inner) : "null";
    }
    return isSpecial(this.#record) && scheme !== "file:" ? originOf(this.#record) : "null";
  }

  get protocol() {
    return this.#record.scheme;
  }

  set protocol(value) {
    const scheme = /^([A-Za-z][A-Za-z0-9+.-]*)(:|$)/.exec(String(value))?.[1]?.toLowerCase();
    const record = this.#record;
    if (!scheme || `${scheme}:` in SPECIAL !== isSpecial(record)) return;
    if (scheme === "file" && (record.username || record.password || record.port)) return;
    if (record.scheme === "file:" && record.host === "") return;
    record.scheme = `${scheme}:`;
    if (record.port === SPECIAL[record.scheme]) record.port = "";
  }

  get username() {
    return this.#record.username;
  }

  set username(value) {
    if (this.#hasPlace()) this.#record.username = encode(wellFormed(value), SETS.userinfo);
  }

  get password() {
    return this.#record.password;
  }

  set password(value) {
    if (this.#hasPlace()) this.#record.password = encode(wellFormed(value), SETS.userinfo);
  }

  #hasPlace() {
    return Boolean(this.#record.host) && this.#record.scheme !== "file:";
  }

  get host() {
    const { host, port } = this.#record;
    return (host ?? "") + (port ? `:${port}` : "");
  }

  set host(value) {
    this.#setHost(value, true);
  }

  get hostname() {
    return this.#record.host ?? "";
  }

  set hostname(value) {
    this.#setHost(value, false);
  }

  #setHost(value, withPort) {
    const record = this.#record;
    if (record.opaque) return;
    const text = wellFormed(value).replace(/[\t\n\r]/g, "");
    const end = text.search(isSpecial(record) ? /[/\\?#]/ : /[/?#]/);
    const [, host, port] = /^(\[[^\]]*\]|[^:]*)(?::([0-9]*).*)?$/s.exec(end < 0 ? text : text.slice(0, end)) ?? [];
    if (host === undefined || (host === "" && isSpecial(record) && record.scheme !== "file:")) return;
    if (port !== undefined && (!withPort || record.scheme === "file:")) return;
    try {
      const parsed = host === "" ? "" : parseHost(host, isSpecial(record));
      record.host = record.scheme === "file:" && parsed === "localhost" ? "" : parsed;
      if (withPort && port) setPort(record, port);
    } catch (error) {
      if (!(error instanceof Invalid)) throw error;
    }
  }

  get port() {
    return this.#record.port;
  }

  set port(value) {
    if (!this.#hasPlace()) return;
    const text = String(value).replace(/[\t\n\r]/g, "");
    const digits = /^[0-9]+/.exec(text)?.[0];
    if (text === "") this.#record.port = "";
    else if (digits && Number(digits) <= 65535) setPort(this.#record, digits);
  }

  get pathname() {
    return pathOf(this.#record);
  }

  set pathname(value) {
    const record = this.#record;
    if (record.opaque) return;
    const text = wellFormed(value).replace(/[\t\n\r]/g, "");
    record.path = [];
    const special = isSpecial(record);
    const front = text.replaceAll("?", "%3F").replaceAll("#", "%23");
    if (special || front !== "") pushPath(/^\//.test(front) || (special && front.startsWith("\\")) ? front.slice(1) : front, record);
  }

  get search() {
    return this.#record.query ? `?${this.#record.query}` : "";
  }

  set search(value) {
    const text = wellFormed(value).replace(/[\t\n\r]/g, "").replace(/^\?/, "");
    if (String(value) === "") this.#record.query = null;
    else setQuery(this.#record, text.replaceAll("#", "%23"));
    this.#refresh();
  }

  get searchParams() {
    if (!this.#params) {
      this.#params = new URLSearchParams();
      this.#refresh();
    }
    return this.#params;
  }

  #refresh() {
    if (!this.#params) return;
    attach(this.#params, this.#record.query ?? "", () => {
      const text = String(this.#params);
      this.#record.query = text === "" ? null : text;
    });
  }

  get hash() {
    return this.#record.fragment ? `#${this.#record.fragment}` : "";
  }

  set hash(value) {
    const text = wellFormed(value).replace(/[\t\n\r]/g, "").replace(/^#/, "");
    this.#record.fragment = String(value) === "" ? null : encode(text, SETS.fragment);
  }

  toString() {
    return this.href;
  }

  toJSON() {
    return this.href;
  }
}

function originOf(record) {
  return `${record.scheme}//${record.host}${record.port ? `:${record.port}` : ""}`;
}

function tryParse(url, base) {
  try {
    return parse(wellFormed(url), base === undefined ? undefined : parse(wellFormed(base)));
  } catch (error) {
    if (error instanceof Invalid) return undefined;
    throw error;
  }
}
