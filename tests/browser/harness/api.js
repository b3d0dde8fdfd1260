// The API as a script uses it: for what a test prepares, and to check what a page did.

import { readFileSync } from "node:fs";

import { guest } from "./paths.js";

export class Api {
  constructor(url, token) {
    this.url = url;
    this.token = token;
  }

  /** Sends a request; an answer other than 2xx is an error with `status` and `problem`. */
  async send(method, path, { body, json, headers = {}, signal } = {}) {
    const type = json === undefined ? {} : { "content-type": "application/json" };
    const answer = await fetch(this.url + path, {
      method,
      headers: { authorization: `Bearer ${this.token}`, ...type, ...headers },
      body: json === undefined ? body : JSON.stringify(json),
      signal,
    });
    const text = await answer.text();
    if (!answer.ok) {
      const error = new Error(`${method} ${path}: ${answer.status} ${text}`);
      throw Object.assign(error, { status: answer.status });
    }
    return text === "" ? null : JSON.parse(text);
  }

  get(path) {
    return this.send("GET", path);
  }

  /** Uploads a guest of this tree and returns its digest. */
  async push(runtime, name) {
    const body = readFileSync(guest(name));
    return (await this.send("POST", `/api/runtimes/${runtime}/components`, { body })).digest;
  }

  /** Uploads a guest and creates a worker of it. */
  async create(runtime, name, spec = {}) {
    const component = await this.push(runtime, name);
    return this.send("POST", `/api/runtimes/${runtime}/workers`, { json: { component, ...spec } });
  }

  /** Sends an input, and waits for its outcome unless `wait_ms` is 0. */
  async input({ runtime_id, worker_id }, text, waitMs = 30_000) {
    const wait = waitMs === 0 ? "" : `?wait_ms=${waitMs}`;
    const path = `/api/runtimes/${runtime_id}/workers/${worker_id}/inputs${wait}`;
    const headers = { "content-type": "text/plain" };
    return this.send("POST", path, { body: text, headers });
  }

  worker({ runtime_id, worker_id }) {
    return this.get(`/api/runtimes/${runtime_id}/workers/${worker_id}`);
  }

  transcript({ runtime_id, worker_id }, query = "after=0&limit=1000") {
    return this.get(`/api/runtimes/${runtime_id}/workers/${worker_id}/transcript?${query}`);
  }
}
