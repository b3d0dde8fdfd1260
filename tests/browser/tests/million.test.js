// A transcript of a million entries.

import assert from "node:assert/strict";
import { after, before } from "node:test";

import { consoleTest } from "../harness/console.js";
import { MainThread } from "../harness/cost.js";
import { atMost, wallAtMost } from "../harness/figures.js";
import { Host } from "../harness/host.js";
import { workerPath } from "../harness/places.js";
import { seeded } from "../harness/seed.js";
import { Transcript } from "../harness/transcript.js";

const ENTRIES = 1_000_000;

/** The needle stands in this turn, in its middle. */
const TURN = 9_900;
const NEEDLE = "a-needle-in-the-hay";
const NEEDLE_SEQ = 1 + TURN * 100 + 51;

let host;
let long;
let trimmed;
before(async () => {
  const store = await seeded("million", "scribe", [
    ["transcript", "long", `${ENTRIES}`, "--needle", `${TURN}`, NEEDLE],
    ["transcript", "trimmed", "5000", "--keep", "200000"],
  ]);
  host = await Host.start({ store });
  const { items } = await host.api().get("/api/workers");
  [long, trimmed] = ["long", "trimmed"].map((name) => items.find((one) => one.display_ref === name));
});
after(() => host?.remove());

consoleTest("a million entries open at the end, the first and the middle one land", () => host, {}, async (profile) => {
  const api = host.api();
  const { last_seq } = await api.transcript(long, "last=1");
  assert.equal(last_seq, ENTRIES);
  const page = await profile.page(workerPath(trimmed));
  const transcript = new Transcript(page);
  await transcript.rows.last().waitFor();
  const began = performance.now();
  await page.goto(workerPath(long));
  await transcript.sees(ENTRIES);
  wallAtMost("a million entries: opened at the end", performance.now() - began, 500);

  for (const seq of [1, ENTRIES / 2, NEEDLE_SEQ]) {
    await page.goto("about:blank");
    await page.goto(workerPath(long, "transcript", `#seq=${seq}`));
    await transcript.sees(seq);
  }
  const thread = await MainThread.of(page);
  atMost("a million entries: heap", (await thread.heap()) / 2 ** 20, 60, "MiB");
});

consoleTest("trimmed entries are a row of their own", () => host, {}, async (profile) => {
  const { first_seq } = await host.api().transcript(trimmed, "last=1");
  assert.ok(first_seq > 2, `nothing was trimmed: ${first_seq}`);
  const page = await profile.page(workerPath(trimmed, "transcript", "#seq=1"));
  const count = (first_seq - 1).toLocaleString("en").replace(",", "[,\u202f\u2009 ]");
  await page.getByText(new RegExp(`1\\s*[–-]\\s*${count} were trimmed`)).first().waitFor();
});

consoleTest("`/` finds an off-screen needle and shows it with its context", () => host, {}, async (profile) => {
  const page = await profile.page(workerPath(long));
  const transcript = new Transcript(page);
  await transcript.sees(ENTRIES);
  await page.keyboard.press("/");
  await page.keyboard.type(NEEDLE);
  const match = page.getByRole("list", { name: "Matches" }).getByRole("button").first();
  await match.waitFor({ timeout: 60_000 });
  assert.equal(await match.locator("mark").textContent(), NEEDLE);
  await page.keyboard.press("Enter");
  await transcript.sees(NEEDLE_SEQ);
  // Its neighbours, which do not match.
  await transcript.row(NEEDLE_SEQ - 1).waitFor();
  await transcript.row(NEEDLE_SEQ + 1).waitFor();
});

consoleTest("the browser's own find reaches entries that are off screen", () => host, {}, async (profile) => {
  const page = await profile.page(workerPath(long));
  const transcript = new Transcript(page);
  await transcript.sees(ENTRIES);
  // Loads a few pages more, so that the first of them is far above.
  const [first] = await transcript.seqs();
  assert.ok(first < ENTRIES - 50);
  const text = `line ${first + 2}`;
  const found = await page.evaluate((text) => window.find(text, true, true, true), text);
  assert.ok(found, `the browser finds ${text}`);
});

consoleTest("10,000 entries scroll at no more than 16 ms of the main thread a frame", () => host, {}, async (profile) => {
  const page = await profile.page(workerPath(long));
  const transcript = new Transcript(page);
  await transcript.sees(ENTRIES);
  await transcript.scroller.hover();
  const wheel = async (pixels, until) => {
    let first;
    do {
      for (let turn = 0; turn < 10; turn += 1) await page.mouse.wheel(0, pixels);
      first = await page.locator("[data-seq]").first().getAttribute("data-seq");
    } while (!until(Number(first)));
  };
  await wheel(-5_000, (first) => first <= ENTRIES - 10_000);
  // Now they are there; the way back to the end passes all of them.
  const thread = await MainThread.of(page);
  let left = 1;
  const { perFrameMs, frames } = await thread.during(async () => {
    while (left > 0) {
      for (let turn = 0; turn < 10; turn += 1) await page.mouse.wheel(0, 2_000);
      left = Math.round((await transcript.gap()) / 2);
    }
  });
  assert.ok(frames > 20, `${frames} frames`);
  atMost("10,000 entries scrolled", perFrameMs, 16, "ms CPU a frame");
});
