// Everything without a pointing device.

import assert from "node:assert/strict";
import { after, before } from "node:test";

import { consoleTest } from "../harness/console.js";
import { startFurnished } from "../harness/furnished.js";
import { workerPath } from "../harness/places.js";
import { Transcript } from "../harness/transcript.js";

let furnished;
before(async () => (furnished = await startFurnished()));
after(() => furnished?.remove());
const host = () => furnished.host;

/** Asserts that the focus is on something that a person can see. */
async function focused(page, at) {
  const focus = await page.evaluate(() => {
    const element = document.activeElement;
    const box = element?.getBoundingClientRect();
    return { tag: element?.tagName, seen: box ? box.width > 0 && box.height > 0 : false };
  });
  assert.ok(focus.tag && focus.tag !== "BODY" && focus.seen, `the focus is lost ${at}: ${JSON.stringify(focus)}`);
}

/** Presses Tab until the focus is on a control with this name. */
async function tabTo(page, name) {
  let wrapped = false;
  for (let n = 0; n < 80; n += 1) {
    const found = await page.evaluate((name) => {
      const element = document.activeElement;
      const words = element?.getAttribute("aria-label") ?? element?.textContent ?? "";
      return words.trim().startsWith(name);
    }, name);
    if (found) return;
    await page.keyboard.press("Tab");
    // After the last control the browser's own would come, of which this one has none.
    const ended = await page.evaluate(() => document.activeElement === document.body);
    if (ended && !wrapped) wrapped = true;
    else await focused(page, `on the way to ${name}`);
  }
  assert.fail(`no Tab leads to ${name}`);
}

consoleTest("with the keyboard alone: log in, find a worker, send, stop, start", host, { role: null }, async (profile) => {
  profile.watch.allowStatus(401);
  const page = await profile.page("/");
  await page.getByRole("dialog", { name: "Log in to Skep" }).waitFor();
  await focused(page, "at the login");
  await page.keyboard.type(await host().newToken("operator"));
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { level: 1, name: "Overview" }).waitFor();
  await page.getByRole("dialog").waitFor({ state: "detached" });
  await focused(page, "after the login");

  await page.keyboard.press("g");
  await page.keyboard.press("w");
  await page.getByRole("row").filter({ hasText: "tally" }).waitFor();
  await focused(page, "on the list");
  await page.keyboard.press("/");
  await page.keyboard.type("tally");
  await page.waitForFunction(() => document.querySelector("[role=grid]")?.getAttribute("aria-rowcount") === "2");
  await page.keyboard.press("Escape");
  await page.keyboard.press("j");
  await page.keyboard.press("Enter");
  await page.waitForURL(/\/w\//);
  await page.getByRole("heading", { level: 1, name: "tally" }).waitFor();
  await focused(page, "on the worker's page");

  await page.keyboard.press("i");
  await page.keyboard.type("with keys");
  await page.keyboard.press("Control+Enter");
  await page.getByText("with keys").first().waitFor();
  await focused(page, "after sending");
  await page.keyboard.press("Escape");
  await tabTo(page, "Stop");
  await page.keyboard.press("Enter");
  await page.getByText("Stopped", { exact: true }).first().waitFor();
  await focused(page, "after stopping");
  await tabTo(page, "Start");
  await page.keyboard.press("Enter");
  await page.getByText(/^(Idle|Busy)$/).first().waitFor();
  await focused(page, "after starting");
});

consoleTest("with the keyboard alone: the next denial, grant and retry", host, { role: "admin" }, async (profile) => {
  const page = await profile.page(workerPath(furnished.denied));
  await new Transcript(page).rows.first().waitFor({ state: "attached" });
  await page.keyboard.press("d");
  await tabTo(page, "Grant and retry");
  await page.keyboard.press("Enter");
  await page.getByText(/Granted, and the input was sent again/).waitFor();
  await focused(page, "after granting");
});

consoleTest("single keys can be switched off, and no single key changes anything", host, {}, async (profile) => {
  const page = await profile.page(workerPath(furnished.tally));
  await new Transcript(page).rows.first().waitFor({ state: "attached" });
  for (const key of "abcdefghijklmnopqrstuvwxyz[]/?") {
    await page.keyboard.press(key);
    await page.keyboard.press("Escape");
  }
  assert.deepEqual(profile.watch.changes, []);
  await page.goto("/");
  await page.getByRole("heading", { level: 1, name: "Overview" }).waitFor();
  await page.keyboard.press("?");
  await page.getByRole("dialog", { name: "Keys" }).getByRole("button", { name: "Off" }).click();
  await page.keyboard.press("Escape");
  await page.keyboard.press("g");
  await page.keyboard.press("w");
  await page.keyboard.press("Control+k");
  await page.getByRole("combobox").waitFor();
  assert.ok(page.url().endsWith("/"), "the single keys are off");
});
