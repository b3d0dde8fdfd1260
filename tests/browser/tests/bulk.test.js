// A change of a thousand workers.

import assert from "node:assert/strict";
import { after, before } from "node:test";

import { consoleTest } from "../harness/console.js";
import { Host } from "../harness/host.js";
import { seeded } from "../harness/seed.js";

const WORKERS = 1_000;

let host;
before(async () => {
  const store = await seeded("thousand", "counter", [["crowd", `${WORKERS}`]]);
  host = await Host.start({ store });
});
after(() => host?.remove());

const counts = async () => (await host.api().get("/api/workers?limit=1")).counts;

/** Chooses the rows that are loaded. */
async function chooseLoaded(page) {
  await page.locator('[role=grid] [data-index="0"]').getByText(/bee-/).waitFor();
  await page.getByRole("checkbox", { name: "Choose all" }).check();
}

/** Records what a progress bar shows from now on. A fast host is done before a look at the page. */
async function watchProgress(page) {
  await page.evaluate(() => {
    window.shown = [];
    const look = () => {
      const now = document.querySelector("[role=progressbar][aria-label=Workers]")?.getAttribute("aria-valuenow");
      if (now != null) window.shown.push(Number(now));
    };
    new MutationObserver(look).observe(document.body, { attributes: true, childList: true, subtree: true });
  });
  return () => page.evaluate(() => window.shown.splice(0));
}

consoleTest("bulk stop of 1,000: the count first, progress, then Undo starts exactly those", () => host, {}, async (profile) => {
  const before = await counts();
  assert.equal(before.total, WORKERS);
  const running = WORKERS - before.stopped;
  const page = await profile.page("/workers");
  await chooseLoaded(page);
  const bar = page.getByRole("toolbar", { name: "Chosen workers" });
  await bar.getByRole("button", { name: "Choose all 1,000 that match" }).click();
  await bar.getByText("1,000 chosen").waitFor();
  await bar.getByRole("button", { name: "Stop" }).click();
  const question = page.getByRole("dialog", { name: `Stop ${running} workers?` });
  const shown = await watchProgress(page);
  await question.getByRole("button", { name: "Go on" }).click();
  await page.getByText(`Stopped ${running} workers.`).waitFor({ timeout: 60_000 });
  assert.equal((await counts()).stopped, WORKERS);
  assert.ok((await shown()).some((now) => now > 0), "progress of the stop");

  await page.getByRole("button", { name: "Undo" }).click();
  const until = performance.now() + 60_000;
  while ((await counts()).stopped > before.stopped && performance.now() < until) await page.waitForTimeout(50);
  assert.ok((await shown()).length > 0, "progress of the undo");
  assert.equal((await counts()).stopped, before.stopped, "what was stopped before stays stopped");
});

consoleTest("a bulk change names each worker that failed, and changes the others", () => host, {}, async (profile) => {
  const page = await profile.page("/workers#state=idle");
  await chooseLoaded(page);
  const name = await page.locator('[role=grid] [data-index="3"] [role=gridcell]').nth(1).textContent();
  // Another person removes it between the choice and the change.
  const { items } = await host.api().get(`/api/workers?q=${name}`);
  const { runtime_id, worker_id } = items[0];
  await host.api().send("DELETE", `/api/runtimes/${runtime_id}/workers/${worker_id}`);
  const bar = page.getByRole("toolbar", { name: "Chosen workers" });
  await bar.getByRole("button", { name: "Stop" }).click();
  const dialog = page.getByRole("dialog", { name: "Not all workers changed" });
  await dialog.waitFor({ timeout: 60_000 });
  await dialog.getByText(/, 1 failed/).waitFor();
  await dialog.getByRole("listitem").filter({ hasText: name }).getByText(/removed/).waitFor();
  assert.ok((await counts()).stopped > 0);
});
