// 100,000 workers.

import assert from "node:assert/strict";
import { after, before } from "node:test";

import { consoleTest } from "../harness/console.js";
import { MainThread } from "../harness/cost.js";
import { atMost, waitedFor, wallAtMost } from "../harness/figures.js";
import { Host } from "../harness/host.js";
import { seeded } from "../harness/seed.js";

const WORKERS = 100_000;

let host;
before(async () => {
  const store = await seeded("crowd", "counter", [["crowd", `${WORKERS}`]]);
  host = await Host.start({ store });
  // The first list after a start orders all workers; a debug build takes seconds for it.
  let total = 0;
  while (total < WORKERS) {
    total = (await host.api().get("/api/workers?sort=name&limit=1")).counts.total;
  }
});
after(() => host?.remove());

/** Names of the rows that are seen, in order. */
const names = (page) =>
  page.getByRole("grid").getByRole("row").evaluateAll((rows) =>
    rows.map((row) => /bee-\d{6}/.exec(row.textContent)?.[0]).filter(Boolean),
  );

/** Waits until the first row is this one. */
async function firstIs(page, name) {
  await page.waitForFunction((name) => {
    const row = document.querySelector('[role=grid] [data-index="0"]');
    return row?.textContent.includes(name);
  }, name);
}

consoleTest("100,000 workers: first rows, sort, filter, search and heap", () => host, {}, async (profile) => {
  const page = await profile.page("/");
  await page.getByRole("heading", { level: 1, name: "Overview" }).waitFor();
  let began = performance.now();
  await page.goto("/workers");
  await page.locator('[role=grid] [data-index="0"]').getByText(/bee-/).waitFor();
  const opened = performance.now() - began;
  const waited = () => waitedFor(page, "/api/workers", since);
  let since = 0;
  wallAtMost("100,000 workers: first rows", opened, 500, await waited());
  await page.getByText(/100[,\u202f\u2009 ]000/).first().waitFor();

  const name = page.getByRole("columnheader", { name: /Name|Worker/ }).getByRole("button");
  const sorted = async (to, words) => {
    since = await page.evaluate(() => performance.now());
    began = performance.now();
    await name.click();
    await firstIs(page, to);
    const took = performance.now() - began;
    wallAtMost(words, took, 300, await waited());
  };
  await sorted("bee-000000", "100,000 workers: sorted by name");
  await sorted("bee-099999", "100,000 workers: sorted backwards");

  const search = page.getByRole("searchbox").first();
  since = await page.evaluate(() => performance.now());
  began = performance.now();
  await search.fill("bee-04242");
  await page.waitForFunction(() => document.querySelector("[role=grid]")?.getAttribute("aria-rowcount") === "11");
  const filtered = performance.now() - began;
  wallAtMost("100,000 workers: filtered", filtered, 300, await waited());
  assert.ok((await names(page)).every((name) => name.startsWith("bee-04242")));
  await search.fill("");
  await page.waitForFunction((count) => document.querySelector("[role=grid]")?.getAttribute("aria-rowcount") === count, `${WORKERS + 1}`);

  await page.getByRole("columnheader", { name: "Changed" }).getByRole("button").click();
  await firstIs(page, "bee-000000");
  await page.getByRole("grid").focus();
  await page.keyboard.press("End");
  await page.locator(`[role=grid] [data-index="${WORKERS - 1}"]`).getByText(/bee-/).waitFor();
  const thread = await MainThread.of(page);
  atMost("100,000 workers: heap", (await thread.heap()) / 2 ** 20, 60, "MiB");
});

consoleTest("10,000 rows scroll at no more than 16 ms of the main thread a frame", () => host, {}, async (profile) => {
  const page = await profile.page("/workers");
  await page.locator('[role=grid] [data-index="0"]').getByText(/bee-/).waitFor();
  const thread = await MainThread.of(page);
  const grid = page.getByRole("grid");
  await grid.hover();
  const { perFrameMs, frames } = await thread.during(async () => {
    for (let at = 0; at < 10_000; ) {
      await page.mouse.wheel(0, 3_200);
      at = await grid.evaluate((box) => box.scrollTop / 32);
    }
  });
  assert.ok(frames > 20, `${frames} frames`);
  atMost("10,000 rows scrolled", perFrameMs, 16, "ms CPU a frame");
});
