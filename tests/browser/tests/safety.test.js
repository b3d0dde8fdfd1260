// The policy of the pages: what they may load, and that no string becomes markup or script.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { consoleTest } from "../harness/console.js";
import { Host } from "../harness/host.js";
import { pages } from "../harness/places.js";

const POLICY = [
  "base-uri 'none'",
  "connect-src 'self'",
  "default-src 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
  "img-src 'self'",
  "require-trusted-types-for 'script'",
  "script-src 'self'",
  "style-src 'self'",
  "trusted-types 'none'",
];

let host;
let worker;
before(async () => {
  host = await Host.start();
  worker = await host.api().create(host.runtimeId, "counter", { display_ref: "tally" });
});
after(() => host?.remove());

test("every deep link loads the shell without a cookie, under the whole policy", async () => {
  for (const { path } of pages(worker)) {
    const answer = await fetch(host.url + path, { redirect: "error" });
    assert.equal(answer.status, 200, path);
    assert.match(answer.headers.get("content-type"), /^text\/html/);
    const policy = answer.headers.get("content-security-policy").split(";");
    assert.deepEqual(policy.map((part) => part.trim()).filter(Boolean).sort(), POLICY, path);
    assert.match(answer.headers.get("cache-control"), /no-cache/);
    assert.equal(answer.headers.get("x-content-type-options"), "nosniff");
  }
});

test("assets are named by their content and kept for a year, compressed", async () => {
  const shell = await (await fetch(`${host.url}/`)).text();
  const assets = [...shell.matchAll(/\/assets\/[\w.-]+/g)].map(([path]) => path);
  assert.ok(assets.some((path) => path.endsWith(".js")) && assets.some((path) => path.endsWith(".css")));
  for (const path of new Set(assets)) {
    assert.match(path, /-[A-Za-z0-9]{8,}\.\w+$/, "the name has a hash");
    const answer = await fetch(host.url + path, { headers: { "accept-encoding": "br" } });
    assert.equal(answer.status, 200, path);
    assert.match(answer.headers.get("cache-control"), /max-age=31536000.*immutable/);
    if (!path.endsWith(".svg")) assert.equal(answer.headers.get("content-encoding"), "br", path);
  }
  const missing = await fetch(`${host.url}/assets/main-00000000.js`);
  assert.equal(missing.status, 404);
});

consoleTest("assigning innerHTML throws, and no inline or evaluated script runs", () => host, {}, async (profile) => {
  const page = await profile.page("/");
  await page.getByRole("heading", { level: 1 }).first().waitFor();
  profile.watch.check();
  profile.watch.allow(/trusted-types|TrustedTypePolicy|TrustedHTML|TrustedScript|script-src|Content Security Policy/);
  const attempts = await page.evaluate(() => {
    const threw = (attempt) => {
      try {
        attempt();
        return "allowed";
      } catch (error) {
        return error.name;
      }
    };
    const script = document.createElement("script");
    return {
      html: threw(() => (document.createElement("div").innerHTML = "<b>x</b>")),
      outer: threw(() => document.body.firstElementChild.insertAdjacentHTML("beforeend", "<b>x</b>")),
      script: threw(() => (script.text = "window.ran = 1")),
      policy: threw(() => trustedTypes.createPolicy("any", { createHTML: (text) => text })),
      handler: threw(() => document.body.setAttribute("onclick", "window.ran = 1")),
      ran: window.ran ?? null,
    };
  });
  const { handler, ran, ...sinks } = attempts;
  for (const [sink, result] of Object.entries(sinks)) assert.equal(result, "TypeError", sink);
  assert.equal(ran, null);
  assert.ok(handler === "TypeError" || handler === "allowed");
  await page.evaluate(() => document.body.click());
  assert.equal(await page.evaluate(() => window.ran ?? null), null, "a handler in markup ran");
});

consoleTest("each page loads without a violation or a foreign request", () => host, {}, async (profile) => {
  const page = await profile.page("/");
  for (const { path, ready } of pages(worker)) {
    await page.goto(path);
    await ready(page);
  }
});
