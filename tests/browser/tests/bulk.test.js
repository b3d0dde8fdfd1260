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
after(() => host.remove());

const counts = async () => (await host.api().get("/api/workers?limit=1")).counts;

consoleTest("bulk stop of 1,000: the count first, progress, failures one by one, Undo", () => host, {}, async (profile) => {
  const before = await counts();
  assert.equal(before.total, WORKERS);
  const page = await profile.page("/workers");
  await page.locator('[role=grid] [data-index="0"]').getByText(/bee-/).waitFor();
  // One of them is removed by another person between the choice and the act.
  const { items } = await host.api().get("/api/workers?limit=5&sort=name");
  const gone = items.find(({ observed }) => observed.state === "idle");
  await page.getByRole("checkbox", { name: "Choose all" }).check();
  const all = page.getByRole("button", { name: /all 1[,\u202f\u2009 ]?000/i });
  if (await all.count()) await all.first().click();
  await host.api().send("DELETE", `/api/runtimes/${gone.runtime_id}/workers/${gone.worker_id}`);
  await page.getByRole("button", { name: /^Stop/ }).first().click();
  const dialog = page.getByRole("dialog");
  if (await dialog.count()) {
    await dialog.getByText(/1[,\u202f\u2009 ]?000|999/).first().waitFor();
    await dialog.getByRole("button", { name: /^Stop/ }).click();
  }
  await page.getByRole("progressbar").first().waitFor();
  await page.getByText(/(999|998|900) .*stopped|stopped .*(999|998|900)/i).first().waitFor({ timeout: 60_000 });
  await page.getByText(/1 .*(failed|not|refused)/i).first().waitFor();
  const stopped = await counts();
  assert.ok(stopped.stopped >= 900, JSON.stringify(stopped));

  await page.getByRole("button", { name: "Undo" }).click();
  await page.waitForFunction(async (least) => {
    const { counts } = await (await fetch("/api/workers?limit=1")).json();
    return counts.stopped <= least;
  }, before.stopped, { timeout: 60_000 });
  const after = await counts();
  assert.equal(after.stopped, before.stopped, "what was stopped before stays stopped");
});
