// A host that goes away and comes back, under an open page.

import assert from "node:assert/strict";
import { after, before } from "node:test";

import { consoleTest } from "../harness/console.js";
import { wallAtMost } from "../harness/figures.js";
import { Host } from "../harness/host.js";
import { workerPath } from "../harness/places.js";
import { Transcript } from "../harness/transcript.js";

let host;
before(async () => (host = await Host.start()));
after(() => host?.remove());

consoleTest("a restarted host: offline within 3 s, unconnected, and the transcript goes on", () => host, {}, async (profile) => {
  profile.watch.allowAway();
  // The stream's response ends in the middle of a chunk.
  profile.watch.allow(/ERR_INCOMPLETE_CHUNKED_ENCODING/);
  const worker = await host.api().create(host.runtimeId, "scribe", { display_ref: "scribe" });
  await host.api().input(worker, "emit-many 20");
  const page = await profile.page(workerPath(worker));
  const transcript = new Transcript(page);
  await transcript.rows.last().waitFor();
  await page.getByText("Connected", { exact: true }).first().waitFor();
  await transcript.compose("emit-many 5");

  await host.kill();
  const began = performance.now();
  await page.getByText("Offline", { exact: true }).first().waitFor({ timeout: 12_000 });
  wallAtMost("restart: offline shown", performance.now() - began, 3_000);
  await page.getByText(/last heard \d+ s/).waitFor();
  assert.equal(await transcript.send.getAttribute("aria-disabled"), "true", "changes are off");
  assert.equal(await transcript.message.inputValue(), "emit-many 5", "the draft is kept");

  await host.start();
  await page.getByText("Live", { exact: true }).first().waitFor({ timeout: 30_000 });
  await page.getByText("Unconnected", { exact: true }).first().waitFor();
  assert.equal(await page.getByRole("dialog").count(), 0, "the session survived the restart");
  assert.equal(await transcript.message.inputValue(), "emit-many 5");
  await transcript.send.click();
  const { items } = await host.api().transcript(worker);
  await host.api().input(worker, "emit-many 3");
  const { last_seq } = await host.api().transcript(worker, "last=1");
  assert.ok(last_seq > items.at(-1).seq);
  await transcript.row(last_seq).waitFor();
  const seqs = await transcript.seqs();
  const expected = Array.from({ length: last_seq - seqs[0] + 1 }, (_, n) => seqs[0] + n);
  assert.deepEqual(seqs, expected, "without hole or repeat");
});
