// The fixture of most tests: a host, a profile that is logged in, and a watched page.

import { after, test } from "node:test";
import { join } from "node:path";

import { close, launched } from "./chromium.js";
import { kept } from "./paths.js";
import { serveUnbuilt } from "./unbuilt.js";
import { Watch } from "./watch.js";

after(close);

/** A profile of a browser: its pages, and what they did. */
export class Profile {
  constructor(context, watch, host) {
    this.context = context;
    this.watch = watch;
    this.host = host;
  }

  /** Opens a new profile on a host. */
  static async open(host, { scheme = "light", width = 1280, height = 800, ...more } = {}) {
    const context = await (await launched()).newContext({
      baseURL: host.url,
      colorScheme: scheme,
      viewport: { width, height },
      // An animation makes a screenshot differ, and moves what is about to be clicked.
      reducedMotion: "reduce",
      ...more,
    });
    context.setDefaultTimeout(15_000);
    if (process.env.SKEP_BROWSER_DIST) await serveUnbuilt(context, host.url);
    return new Profile(context, await Watch.of(context, host.url), host);
  }

  /** Logs in as the console does, with a token, or else a new one of a role. */
  async logIn(role, given) {
    const token = given ?? (await this.host.newToken(role));
    const headers = { origin: this.host.url };
    const answer = await this.context.request.post("/api/login", { data: { token }, headers });
    if (!answer.ok()) throw new Error(`login: ${answer.status()} ${await answer.text()}`);
    return token;
  }

  /** Opens a page of the console. */
  async page(path = "/") {
    const page = await this.context.newPage();
    await page.goto(path);
    return page;
  }

  async close() {
    await this.context.close();
  }
}

/**
 * Defines a test with a profile that is logged in as `role` (`null` for none). The test fails if a
 * page did what no page may. A screenshot of each page is kept if it fails.
 * @param {() => Host} host Returns the host, which a `before` hook starts.
 */
export function consoleTest(name, host, { role = "admin", ...options }, body) {
  test(name, { timeout: 120_000 }, async (t) => {
    const profile = await Profile.open(host(), options);
    try {
      if (role) await profile.logIn(role);
      await body(profile, t);
      profile.watch.check();
    } catch (error) {
      for (const [n, page] of profile.context.pages().entries()) {
        const file = `${name.replace(/[^a-z0-9]+/gi, "-").slice(0, 80)}-${n}.png`;
        await page.screenshot({ path: join(kept("failed"), file) }).catch(() => {});
      }
      for (const fault of profile.watch.faults()) t.diagnostic(fault);
      throw error;
    } finally {
      await profile.close();
    }
  });
}
