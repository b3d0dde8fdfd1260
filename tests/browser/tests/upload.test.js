// A large upload.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before } from "node:test";

import { consoleTest } from "../harness/console.js";
import { Host } from "../harness/host.js";
import { workerPath } from "../harness/places.js";

const SIZE = 100 << 20;

let host;
let folder;
before(async () => {
  host = await Host.start();
  folder = mkdtempSync(join(tmpdir(), "upload-"));
  writeFileSync(join(folder, "large.bin"), Buffer.alloc(SIZE, "honey"));
});
after(async () => {
  rmSync(folder, { recursive: true });
  await host?.remove();
});

consoleTest("100 MB: the progress moves, cancel works, nothing is stored", () => host, {}, async (profile) => {
  profile.watch.allowAway();
  const api = host.api();
  const worker = await api.create(host.runtimeId, "counter", { display_ref: "tally" });
  const page = await profile.page(workerPath(worker, "files"));
  // Slow enough to be seen and cancelled: 10 MB a second.
  const session = await profile.context.newCDPSession(page);
  await session.send("Network.enable");
  await session.send("Network.emulateNetworkConditions", {
    offline: false, latency: 0, downloadThroughput: -1, uploadThroughput: 10 << 20,
  });
  const chooser = page.waitForEvent("filechooser");
  await page.getByRole("button", { name: "Upload", exact: true }).click();
  await (await chooser).setFiles(join(folder, "large.bin"));
  const bar = page.getByRole("progressbar");
  await bar.waitFor();
  const value = () => bar.evaluate((bar) => Number(bar.getAttribute("aria-valuenow") ?? bar.value));
  const first = await value();
  await page.waitForFunction((first) => {
    const bar = document.querySelector("[role=progressbar], progress");
    return bar && Number(bar.getAttribute("aria-valuenow") ?? bar.value) > first;
  }, first);
  await page.getByRole("button", { name: /Cancel/ }).click();
  await bar.waitFor({ state: "detached" });
  await page.getByText(/cancelled/i).first().waitFor();
  const base = `/api/runtimes/${worker.runtime_id}/workers/${worker.worker_id}`;
  const { items } = await api.get(`${base}/files`);
  assert.deepEqual(items, []);
  const usage = await api.get(`${base}/usage`);
  assert.equal(usage.disk_bytes, 0);
});
