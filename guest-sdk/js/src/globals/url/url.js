// URL, by the URL standard. A host name with letters beyond ASCII is mapped by normalization and
// lower case, which is the standard's mapping for all but rare characters.
import { Invalid, parseHost } from "./host.js";
import { URLSearchParams, attach } from "./params.js";
import { SETS, encode, wellFormed } from "./percent.js";
import { SPECIAL, isSpecial, parse, pathOf, pushPath, setPort, setQuery, write } from "./record.js";

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
