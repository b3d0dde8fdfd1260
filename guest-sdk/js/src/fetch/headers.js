// The headers of requests and responses.

/** A name of a header or method. */
export const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;

/** The fields of a request or response. Names are not case-sensitive, and are kept in lower case. */
export class Headers {
  #fields = [];

  constructor(init = undefined) {
    if (init === undefined || init === null) return;
    const pairs = typeof init[Symbol.iterator] === "function" ? init : Object.entries(init);
    for (const [name, value] of pairs) this.append(name, value);
  }

  append(name, value) {
    this.#fields.push([nameOf(name), valueOf(value)]);
  }

  set(name, value) {
    this.delete(name);
    this.append(name, value);
  }

  get(name) {
    const key = nameOf(name);
    const values = this.#fields.filter(([other]) => other === key).map(([, value]) => value);
    return values.length > 0 ? values.join(", ") : null;
  }

  getSetCookie() {
    return this.#fields.filter(([name]) => name === "set-cookie").map(([, value]) => value);
  }

  has(name) {
    const key = nameOf(name);
    return this.#fields.some(([other]) => other === key);
  }

  delete(name) {
    const key = nameOf(name);
    this.#fields = this.#fields.filter(([other]) => other !== key);
  }

  forEach(run, receiver) {
    for (const [name, value] of this) run.call(receiver, value, name, this);
  }

  *entries() {
    const names = [...new Set(this.#fields.map(([name]) => name))].sort();
    for (const name of names) {
      if (name !== "set-cookie") yield [name, this.get(name)];
      else for (const value of this.getSetCookie()) yield [name, value];
    }
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
}

function nameOf(name) {
  if (!TOKEN.test(String(name))) throw new TypeError(`${JSON.stringify(String(name))} is not a name of a header`);
  return String(name).toLowerCase();
}

function valueOf(value) {
  const text = String(value).replace(/^[\t\n\r ]+|[\t\n\r ]+$/g, "");
  if (/[\0\r\n]/.test(text)) throw new TypeError("the value of a header has a line break or a null character");
  return text;
}
