// URLSearchParams.
import { decode, encode, wellFormed } from "./percent.js";

function parseForm(text) {
  const plain = (part) => new TextDecoder("utf-8", { ignoreBOM: true }).decode(decode(part.replaceAll("+", " ")));
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

/** Fills parameters from a query; `changed` is called after each change of them. */
export const { attach } = URLSearchParams;
delete URLSearchParams.attach;
