// Login: by link, by token, and over a deep link.

import assert from "node:assert/strict";
import { after, before } from "node:test";

import { consoleTest } from "../harness/console.js";
import { Host } from "../harness/host.js";

let host;
before(async () => (host = await Host.start()));
after(() => host?.remove());

/** All that a page could have kept of a secret. */
function traces(page) {
  return page.evaluate(async () => ({
    url: location.href,
    history: history.state,
    cookie: document.cookie,
    local: { ...localStorage },
    session: { ...sessionStorage },
    caches: await caches.keys(),
    databases: (await indexedDB.databases()).map(({ name }) => name),
    html: document.documentElement.outerHTML,
  }));
}

consoleTest("a login link leads to `/` and leaves no secret behind", () => host, { role: null }, async (profile) => {
  const { login } = host;
  const secret = new URL(login).hash.replace(/^#(code=)?/, "");
  assert.ok(secret.length >= 16, "the link has a code");
  const page = await profile.context.newPage();
  const seen = [];
  page.on("request", (request) => seen.push(request.url()));
  await page.goto(login);
  await page.getByRole("navigation", { name: "Main" }).waitFor();
  await page.getByRole("heading", { level: 1 }).first().waitFor();
  await page.getByRole("dialog").waitFor({ state: "detached" });
  const url = new URL(page.url());
  assert.equal(url.pathname + url.hash + url.search, "/");
  assert.ok(!JSON.stringify(await traces(page)).includes(secret));
  assert.ok(!seen.some((url) => url.includes(secret)), "no request has it in its URL");
  await page.goBack().catch(() => {});
  assert.ok(!page.url().includes(secret), "neither has the history");
  const cookies = await profile.context.cookies();
  assert.ok(cookies.every(({ httpOnly, sameSite }) => httpOnly && sameSite === "Strict"));
});

consoleTest("a used link says so and offers to log in with a token", () => host, { role: null }, async (profile) => {
  profile.watch.allowStatus(401);
  const page = await profile.page(`/login#${"0".repeat(43)}`);
  const dialog = page.getByRole("dialog", { name: "Log in to Skep" });
  await dialog.getByText(/used already or has expired/).waitFor();
  await dialog.getByLabel("Token").fill(await host.newToken("admin"));
  await page.keyboard.press("Enter");
  await dialog.waitFor({ state: "detached" });
});

consoleTest("a deep link without a session asks to log in, and stays", () => host, { role: null }, async (profile) => {
  profile.watch.allowStatus(401);
  const path = "/workers#q=bee";
  const page = await profile.page(path);
  const dialog = page.getByRole("dialog", { name: "Log in to Skep" });
  await dialog.getByLabel("Token").fill("wrong");
  await page.keyboard.press("Enter");
  await dialog.getByText(/No such token/).waitFor();
  await dialog.getByLabel("Token").fill(await host.newToken("viewer"));
  await dialog.getByRole("button", { name: "Log in" }).click();
  await page.getByRole("heading", { level: 1, name: "Workers" }).waitFor();
  assert.equal(page.url(), host.url + path);
  assert.ok(!JSON.stringify(await traces(page)).includes(host.token));
});

consoleTest("logging out ends the session", () => host, {}, async (profile) => {
  profile.watch.allowStatus(401);
  const page = await profile.page("/");
  await page.getByRole("heading", { level: 1 }).first().waitFor();
  await page.keyboard.press("Control+k");
  await page.getByRole("combobox").fill("log out");
  await page.keyboard.press("Enter");
  await page.getByRole("dialog", { name: /Log in|session has ended/ }).waitFor();
  const answer = await profile.context.request.get("/api/me");
  assert.equal(answer.status(), 401);
});
