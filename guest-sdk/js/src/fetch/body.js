// The bodies of requests and responses.
import { isBytes, toBytes } from "../bytes.js";

const FORM = "application/x-www-form-urlencoded;charset=UTF-8";

/** Returns the bytes of a body and the media type that it has by itself. */
export function bodyOf(body) {
  if (body === undefined || body === null) return { bytes: undefined, type: undefined };
  if (typeof body === "string") return { bytes: toBytes(body), type: "text/plain;charset=UTF-8" };
  if (body instanceof URLSearchParams) return { bytes: toBytes(String(body)), type: FORM };
  if (isBytes(body)) return { bytes: Uint8Array.from(toBytes(body)), type: undefined };
  return { bytes: toBytes(String(body)), type: "text/plain;charset=UTF-8" };
}

/** The body of a request or response: it is complete, and is read once. */
export class Body {
  #bytes;
  #used = false;

  constructor(bytes) {
    this.#bytes = bytes;
  }

  get bodyUsed() {
    return this.#used;
  }

  /** Returns a copy of the bytes for a clone. */
  static copy(body) {
    if (body.#used) throw new TypeError("the body was read already");
    return body.#bytes && Uint8Array.from(body.#bytes);
  }

  #take() {
    if (this.#used) throw new TypeError("the body was read already; use clone() to read it twice");
    this.#used = this.#bytes !== undefined;
    return this.#bytes ?? new Uint8Array();
  }

  async bytes() {
    return this.#take();
  }

  async arrayBuffer() {
    return Uint8Array.from(this.#take()).buffer;
  }

  async text() {
    return new TextDecoder().decode(this.#take());
  }

  async json() {
    return JSON.parse(new TextDecoder().decode(this.#take()));
  }
}

/** Returns a copy of a body's bytes. */
export const copyBody = Body.copy;
delete Body.copy;
