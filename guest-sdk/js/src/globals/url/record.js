// The record of a URL, and the parser of the URL standard.
import { Invalid, parseHost } from "./host.js";
import { SETS, encode } from "./percent.js";

/** The schemes that the standard knows, with their ports. */
export const SPECIAL = { "http:": "80", "https:": "443", "ws:": "80", "wss:": "443", "ftp:": "21", "file:": "" };

/** Says whether a record's scheme is one that the standard knows. */
export const isSpecial = (record) => record.scheme in SPECIAL;
const isDrive = (text) => /^[A-Za-z][:|]$/.test(text);
const startsWithDrive = (text) => /^[A-Za-z][:|]([/\\?#]|$)/.test(text);
const isSingleDot = (text) => /^(\.|%2e)$/i.test(text);
const isDoubleDot = (text) => /^(\.|%2e){2}$/i.test(text);

function emptyRecord() {
  return { scheme: "", username: "", password: "", host: null, port: "", path: [], opaque: false, query: null, fragment: null };
}

/** Parses a URL, with a base record where it is relative. */
export function parse(input, base) {
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

/** Sets the query of a record. */
export function setQuery(record, text) {
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

/** Sets the port of a record; the scheme's own is left out. */
export function setPort(record, text) {
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
export function pushPath(text, record) {
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

/** Returns the path of a record as text. */
export function pathOf(record) {
  return record.opaque ? record.path : record.path.map((segment) => `/${segment}`).join("");
}

/** Returns a record as text. */
export function write(record, withFragment = true) {
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
