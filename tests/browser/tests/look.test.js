// Every page in both themes: accessible, within the width, and photographed to
// target/browser/*.png.

import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before } from "node:test";

import { accessible, contrasts } from "../harness/axe.js";
import { consoleTest } from "../harness/console.js";
import { startFurnished } from "../harness/furnished.js";
import { kept } from "../harness/paths.js";
import { pages, settled, workerPath } from "../harness/places.js";
import { Transcript } from "../harness/transcript.js";

const WIDTHS = [320, 768, 1280, 2560];

let furnished;
before(async () => (furnished = await startFurnished()));
after(() => furnished?.remove());
const host = () => furnished.host;

const photograph = (page, name) => page.screenshot({ path: join(kept("."), `${name}.png`) });

for (const scheme of ["light", "dark"]) {
  consoleTest(`axe finds nothing serious on any page, ${scheme}`, host, { scheme }, async (profile) => {
    const page = await profile.page("/");
    for (const { name, path, ready } of pages(furnished.worker)) {
      await page.goto(path);
      await ready(page);
      await settled(page);
      await photograph(page, `${name}-${scheme}`);
      await accessible(page, `${name}, ${scheme}`);
      assert.deepEqual(await contrasts(page, 6), [], `${name}, ${scheme}: text below 6:1`);
    }
  });

  consoleTest(`axe finds nothing serious in any state, ${scheme}`, host, { scheme }, async (profile) => {
    profile.watch.allowStatus(401, 404);
    profile.watch.allowAway();
    const page = await profile.page("/");
    const check = async (name) => {
      await settled(page);
      await photograph(page, `state-${name}-${scheme}`);
      await accessible(page, `${name}, ${scheme}`);
    };
    await page.getByRole("heading", { level: 1, name: "Overview" }).waitFor();
    await page.keyboard.press("Control+k");
    await page.getByRole("combobox").waitFor();
    await check("palette");
    await page.keyboard.press("Escape");
    await page.keyboard.press("?");
    await page.getByRole("dialog", { name: "Keys" }).waitFor();
    await check("keys");
    await page.keyboard.press("Escape");

    await page.goto("/workers#q=nothing-is-called-this");
    await page.getByRole("heading", { level: 1, name: "Workers" }).waitFor();
    await check("nothing-found");
    await page.goto("/w/a-runtime/a-worker/no-such-tab");
    await page.getByRole("heading", { level: 1 }).waitFor();
    await check("missing-page");
    const { runtime_id, worker_id } = furnished.worker;
    await page.goto(workerPath({ runtime_id, worker_id: worker_id.replace(/^./, "f") }));
    await page.getByRole("heading").first().waitFor();
    await check("unknown-worker");
    await page.goto(workerPath(furnished.stopped));
    await page.getByText("Stopped").first().waitFor();
    await check("stopped-worker");
    const { items } = await host().api().transcript(furnished.denied);
    const denial = items.find(({ kind }) => kind === "denied");
    await page.goto(workerPath(furnished.denied, "transcript", `#seq=${denial.seq}`));
    const transcript = new Transcript(page);
    await transcript.sees(denial.seq);
    await transcript.row(denial.seq).getByRole("button").first().click();
    await page.getByRole("button", { name: "Grant and retry" }).waitFor();
    await check("denied");

    await page.route("**/*", (route) => route.abort());
    await page.getByText("Offline", { exact: true }).first().waitFor({ timeout: 20_000 });
    await check("offline");
    await page.unroute("**/*");
    await page.getByText("Live", { exact: true }).first().waitFor({ timeout: 20_000 });

    await profile.context.clearCookies();
    await page.goto("/workers");
    await page.getByRole("dialog", { name: "Log in to Skep" }).waitFor();
    await check("login");
  });
}

consoleTest("axe finds nothing serious for a viewer", host, { role: "viewer" }, async (profile) => {
  profile.watch.allowStatus(403);
  const page = await profile.page("/");
  for (const { name, path, ready } of pages(furnished.worker)) {
    await page.goto(path);
    await ready(page);
    await settled(page);
    await accessible(page, `${name}, viewer`);
  }
});

for (const width of WIDTHS) {
  consoleTest(`no page scrolls sideways at ${width} px`, host, { width, height: 900 }, async (profile) => {
    const page = await profile.page("/");
    for (const { name, path, ready } of pages(furnished.worker)) {
      await page.goto(path);
      await ready(page);
      await settled(page);
      const over = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      await photograph(page, `${name}-${width}`);
      assert.ok(over <= 0, `${name} is ${over} px too wide at ${width} px`);
    }
  });
}
