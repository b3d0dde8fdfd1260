// What a viewer and an operator see and may not do.

import assert from "node:assert/strict";
import { rmSync } from "node:fs";
import { after, before } from "node:test";

import { consoleTest } from "../harness/console.js";
import { Host } from "../harness/host.js";
import { pages, settled, workerPath } from "../harness/places.js";
import { Transcript } from "../harness/transcript.js";
import { temporary } from "../harness/paths.js";

const SETTINGS = (folder) => `
[operator]
scopes = ["notes"]
[operator.limits]
memory_bytes = 67108864
[scopes.notes]
path = "${folder}"
rights = "ro"
`;

let host;
let worker;
let folder;
before(async () => {
  folder = temporary();
  host = await Host.start({ settings: SETTINGS(folder) });
  worker = await host.api().create(host.runtimeId, "counter", { display_ref: "tally" });
  await host.api().input(worker, "one");
});
after(async () => {
  await host?.remove();
  rmSync(folder, { recursive: true });
});

/** Presses every button of a page, but for those that end a session, which is the viewer's own. */
async function pressAll(page) {
  const buttons = page.locator("main button").filter({ hasNotText: /^(Log out|End)$/ });
  for (let n = 0; n < (await buttons.count()); n += 1) {
    const button = buttons.nth(n);
    if (!(await button.isVisible())) continue;
    await button.click({ timeout: 1_000, force: true }).catch(() => {});
    if (await page.locator("dialog[open]").count()) {
      const inside = page.locator("dialog[open] button[type=submit]");
      if (await inside.count()) await inside.first().click({ timeout: 1_000, force: true }).catch(() => {});
      await page.keyboard.press("Escape");
    }
  }
}

consoleTest("no request that changes something leaves a viewer's page, whatever is pressed", () => host, { role: "viewer" }, async (profile) => {
  // Some answers need more than a viewer's role; the page says so.
  profile.watch.allowStatus(403);
  const page = await profile.page("/");
  for (const { path, ready } of pages(worker)) {
    await page.goto(path);
    await ready(page);
    await settled(page);
    await pressAll(page);
  }
  assert.deepEqual(profile.watch.changes, []);
});

consoleTest("a viewer's controls are off and name the role that is needed", () => host, { role: "viewer" }, async (profile) => {
  const page = await profile.page(workerPath(worker));
  const transcript = new Transcript(page);
  await transcript.compose("not for me");
  const { send } = transcript;
  assert.equal(await send.getAttribute("aria-disabled"), "true");
  await send.focus();
  await page.getByText(/Needs the role operator/).first().waitFor();
});

consoleTest("an operator past a ceiling gets the limit and the highest value by name", () => host, { role: "operator" }, async (profile) => {
  profile.watch.allowStatus(403);
  const page = await profile.page(workerPath(worker, "settings"));
  await page.getByRole("button", { name: "Change memory_bytes" }).click();
  await page.getByRole("textbox", { name: "New value of memory_bytes" }).fill("512 MiB");
  await page.getByRole("alert").getByText(/at most 64 MiB/).waitFor();
  // The host refuses it too, and names both.
  const { runtime_id, worker_id } = worker;
  const refused = await profile.context.request.patch(`/api/runtimes/${runtime_id}/workers/${worker_id}`, {
    headers: { origin: host.url },
    data: { limits: { memory_bytes: 512 << 20 } },
  });
  assert.equal(refused.status(), 403);
  const { needs } = await refused.json();
  assert.deepEqual(needs, { ceiling: { limit: "memory_bytes", max: 64 << 20 } });
  assert.equal((await host.api().worker(worker)).limits?.memory_bytes, undefined);
});
