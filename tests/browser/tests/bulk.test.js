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
  await question.getByRole("button", { name: "Go on" }).click();
  const progress = page.getByRole("progressbar", { name: "Workers" });
  await progress.waitFor();
  await page.waitForFunction(() => {
    const now = Number(document.querySelector("[role=progressbar]")?.getAttribute("aria-valuenow"));
    return now > 0;
  });
  await page.getByText(`Stopped ${running} workers.`).waitFor({ timeout: 60_000 });
  assert.equal((await counts()).stopped, WORKERS);

  await page.getByRole("button", { name: "Undo" }).click();
  await progress.waitFor();
  await progress.waitFor({ state: "detached", timeout: 60_000 });
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
