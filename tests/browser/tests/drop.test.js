// A dropped file becomes a running worker.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before } from "node:test";

import { consoleTest } from "../harness/console.js";
import { dropFile } from "../harness/drop.js";
import { timed, wallAtMost } from "../harness/figures.js";
import { Host } from "../harness/host.js";
import { guest } from "../harness/paths.js";
import { Transcript } from "../harness/transcript.js";

let host;
before(async () => (host = await Host.start()));
after(() => host?.remove());

consoleTest("counter.wasm dropped: imports within 1 s, first answer within 10 s", () => host, {}, async (profile) => {
  // The question whether the runtime has this component already.
  profile.watch.allowStatus(404);
  const page = await profile.page("/");
  await page.getByRole("heading", { level: 1, name: "Overview" }).waitFor();
  const body = readFileSync(guest("counter"));
  const began = performance.now();
  await dropFile(page, "main", { name: "counter.wasm", body });
  const dialog = page.getByRole("dialog", { name: "New worker" });
  await dialog.getByText(/\d+ imports/).waitFor();
  wallAtMost("drop: imports shown", performance.now() - began, 1_000);
  assert.deepEqual(profile.watch.changes, [], "nothing is sent before the person says so");
  await dialog.getByText("service", { exact: true }).waitFor();

  await dialog.getByRole("button", { name: "Upload and create" }).click();
  await page.waitForURL(/\/w\/.*\/transcript/);
  const transcript = new Transcript(page);
  await transcript.message.waitFor();
  const focused = await transcript.message.evaluate((field) => document.activeElement === field);
  assert.ok(focused, "the composer has the focus");
  await transcript.write("hello");
  await transcript.ofKind("output").first().waitFor();
  wallAtMost("drop: first answer", performance.now() - began, 10_000);
});

consoleTest("a digest that the runtime knows is not uploaded again", () => host, {}, async (profile) => {
  await host.api().push(host.runtimeId, "counter");
  const page = await profile.page("/components");
  await page.getByRole("heading", { level: 1, name: "Components" }).waitFor();
  await dropFile(page, "main", { name: "counter.wasm", body: readFileSync(guest("counter")) });
  const dialog = page.getByRole("dialog", { name: "New worker" });
  await dialog.getByText(/nothing to upload/).waitFor();
  await dialog.getByRole("button", { name: "Create", exact: true }).click();
  await page.waitForURL(/\/w\/.*\/transcript/);
  assert.ok(!profile.watch.changes.some((line) => line.endsWith("/components")), profile.watch.changes.join());
});

consoleTest("a file that is no component is refused in the browser, with its reason", () => host, {}, async (profile) => {
  const page = await profile.page("/");
  await page.getByRole("heading", { level: 1, name: "Overview" }).waitFor();
  await dropFile(page, "main", { name: "notes.wasm", body: Buffer.from("not a component") });
  const dialog = page.getByRole("dialog", { name: "New worker" });
  await dialog.getByRole("alert").waitFor();
  const create = dialog.getByRole("button", { name: /create/i });
  assert.equal(await create.getAttribute("aria-disabled"), "true");
  assert.deepEqual(profile.watch.changes, []);
});
