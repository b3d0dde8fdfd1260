// The size of what a browser loads.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { gzipSync } from "node:zlib";

import { consoleTest } from "../harness/console.js";
import { atMost } from "../harness/figures.js";
import { Host } from "../harness/host.js";
import { dist } from "../harness/paths.js";

const KIB = 1_024;

let host;
before(async () => (host = await Host.start()));
after(() => host?.remove());

test("all files of the console together are at most 150 KB compressed", () => {
  const files = ["index.html", ...readdirSync(join(dist(), "assets")).map((name) => `assets/${name}`)];
  const sizes = files
    .filter((name) => !/\.(br|gz)$/.test(name))
    .map((name) => gzipSync(readFileSync(join(dist(), name)), { level: 9 }).length);
  assert.ok(sizes.length > 2);
  atMost("everything, gzip", sizes.reduce((sum, size) => sum + size, 0) / KIB, 150, "KB");
});

consoleTest("the first view takes at most 40 KB compressed and 12 requests", () => host, {}, async (profile, t) => {
  const page = await profile.context.newPage();
  const session = await profile.context.newCDPSession(page);
  await session.send("Network.enable");
  const loaded = new Map();
  session.on("Network.responseReceived", ({ requestId, response }) => loaded.set(requestId, { url: response.url, bytes: 0 }));
  session.on("Network.loadingFinished", ({ requestId, encodedDataLength }) => {
    const one = loaded.get(requestId);
    if (one) one.bytes = encodedDataLength;
  });
  await page.goto("/");
  await page.getByRole("heading", { level: 1, name: "Overview" }).waitFor();
  await page.waitForLoadState("load");
  const files = [...loaded.values()].filter(({ url }) => !new URL(url).pathname.startsWith("/api/"));
  // Compressed with gzip, whatever the host chose: the budget counts that.
  let bytes = 0;
  for (const { url } of files) {
    const answer = await fetch(url, { headers: { "accept-encoding": "identity" } });
    bytes += gzipSync(Buffer.from(await answer.arrayBuffer()), { level: 9 }).length;
  }
  atMost("first view, gzip", bytes / KIB, 40, "KB");
  for (const { url } of loaded.values()) t.diagnostic(url.slice(host.url.length));
  atMost("first view", loaded.size, 12, "requests");
});
