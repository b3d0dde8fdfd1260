// Everything that a page must never do, recorded while a test runs: an error on the console, a
// violation of its policy, a dialog, a request to another server, a window that nobody asked for.

import assert from "node:assert/strict";

/** The prefix of Chromium's own message about a request that failed or was refused. */
const FAILED_LOAD = "Failed to load resource";

export class Watch {
  #seen = [];
  #allowed = [];
  /** Requests that change something: `METHOD path`. */
  changes = [];
  /** All requests: `METHOD path`. */
  requests = [];

  /** Watches every page of a context. Must be called before the first page is opened. */
  static async of(context, origin) {
    const watch = new Watch();
    await context.exposeBinding("reportViolation", (_source, text) => {
      watch.#seen.push(`policy violation: ${text}`);
    });
    await context.addInitScript(() => {
      document.addEventListener("securitypolicyviolation", (event) => {
        window.reportViolation(`${event.violatedDirective} ${event.blockedURI} ${event.sample}`);
      });
    });
    context.on("page", (page) => watch.#page(page, origin));
    return watch;
  }

  #page(page, origin) {
    page.opener().then((opener) => {
      if (opener) this.#seen.push(`a window was opened: ${page.url()}`);
    });
    page.on("console", (message) => {
      if (message.type() !== "error") return;
      this.#seen.push(`console error: ${message.text()} ${message.location().url}`);
    });
    page.on("pageerror", (error) => this.#seen.push(`uncaught: ${error.stack ?? error}`));
    page.on("crash", () => this.#seen.push("the page crashed"));
    page.on("dialog", async (dialog) => {
      this.#seen.push(`a dialog of the browser: ${dialog.type()} ${dialog.message()}`);
      await dialog.dismiss();
    });
    page.on("request", (request) => {
      const url = new URL(request.url());
      if (url.protocol !== "blob:" && url.origin !== origin) {
        this.#seen.push(`a foreign request: ${request.method()} ${request.url()}`);
      }
      const line = `${request.method()} ${url.pathname}`;
      this.requests.push(line);
      const reads = ["GET", "HEAD"].includes(request.method());
      if (!reads) this.changes.push(line);
    });
  }

  /** Allows the browser's own message about requests that end with this status. */
  allowStatus(...statuses) {
    for (const status of statuses) {
      this.#allowed.push((text) => text.includes(FAILED_LOAD) && text.includes(`status of ${status}`));
    }
  }

  /** Allows its messages about a server that is away. */
  allowAway() {
    this.#allowed.push((text) => text.includes("net::ERR_"));
  }

  /** Allows what else matches. */
  allow(pattern) {
    this.#allowed.push((text) => pattern.test(text));
  }

  /** What happened that no test allowed. */
  faults() {
    return this.#seen.filter((text) => !this.#allowed.some((allowed) => allowed(text)));
  }

  check() {
    assert.deepEqual(this.faults(), [], "the page did what no page may");
  }
}
