// Response.
import { Body, bodyOf, copyBody } from "./body.js";
import { Headers } from "./headers.js";

/** A response. */
export class Response extends Body {
  constructor(body = null, { status = 200, statusText = "", headers = undefined } = {}) {
    const own = bodyOf(body);
    super(own.bytes);
    if (!(status >= 200 && status <= 599)) throw new RangeError(`the status ${status} is not from 200 to 599`);
    this.status = status;
    this.statusText = statusText;
    this.headers = new Headers(headers);
    this.url = "";
    this.redirected = false;
    this.type = "default";
    if (own.type && !this.headers.has("content-type")) this.headers.set("content-type", own.type);
  }

  get ok() {
    return this.status >= 200 && this.status <= 299;
  }

  clone() {
    const copy = new Response(copyBody(this), this);
    return Object.assign(copy, { url: this.url, redirected: this.redirected, type: this.type });
  }

  static redirect(url, status = 302) {
    if (![301, 302, 303, 307, 308].includes(status)) throw new RangeError(`the status ${status} is not one of a redirect`);
    return new Response(null, { status, headers: { location: String(url) } });
  }

  static json(value, init = {}) {
    const headers = new Headers(init.headers);
    if (!headers.has("content-type")) headers.set("content-type", "application/json");
    return new Response(JSON.stringify(value), { ...init, headers });
  }
}
