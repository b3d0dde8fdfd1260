// Hostile text in every field that a guest or another person fills.

import assert from "node:assert/strict";
import { after, before } from "node:test";

import { consoleTest } from "../harness/console.js";
import { MainThread } from "../harness/cost.js";
import { atMost } from "../harness/figures.js";
import { injected, LONG_LINE, STRINGS, unescaped } from "../harness/hostile.js";
import { Host } from "../harness/host.js";
import { pages, settled, visit, workerPath } from "../harness/places.js";
import { Transcript } from "../harness/transcript.js";

/** Characters that names refuse; the host's own tests show that. */
const UNSAFE = /[\p{Cc}\p{Cf}\u2028\u2029\ufffe\uffff]/gu;

/** CPU time of the main thread for one view. */
const VIEW_MS = 300;

let host;
let worker;
let base;
before(async () => {
  host = await Host.start();
  const api = host.api();
  const safe = (text) => text.replace(UNSAFE, "").slice(0, 128);
  // A config is shown with its keys and values.
  const { digest: config } = await api.send("POST", `/api/runtimes/${host.runtimeId}/configs`, {
    json: { values: Object.fromEntries(Object.entries(STRINGS).map(([key, text]) => [key, text.replaceAll("\0", "")])) },
  });
  const labels = Object.fromEntries(Object.entries(STRINGS).map(([key, text]) => [key, safe(text)]));
  worker = await api.create(host.runtimeId, "scribe", { display_ref: safe(STRINGS.markup), labels, config });
  base = `/api/runtimes/${worker.runtime_id}/workers/${worker.worker_id}`;
  for (const [name, text] of Object.entries(STRINGS)) {
    // Inputs, events, outputs, failures, state, files.
    await api.input(worker, `emit ${name} ${text}`);
    await api.input(worker, `echo ${text}`);
    await api.input(worker, `fail ${text}`);
    await api.input(worker, `set ${text.replaceAll(" ", "\u00a0")} ${text}`);
    const file = encodeURIComponent(text.replace(/[/\0]/g, "").slice(0, 60));
    await api.send("PUT", `${base}/files/${file}`, { body: text }).catch((error) => {
      // A name that a file cannot have.
      assert.ok([400, 404, 422].includes(error.status), error.message);
    });
    const headers = { "content-type": "application/json", "idempotency-key": `key-${name}` };
    await api.send("POST", `${base}/inputs?wait_ms=30000`, { headers, body: JSON.stringify({ [text]: text }) });
  }
  await api.input(worker, `dial ${STRINGS.markup}`);
});
after(() => host?.remove());

consoleTest("hostile text in every field: no dialog, request or element of its own, and no control character", () => host, {}, async (profile) => {
  const page = await profile.page("/");
  await page.getByRole("heading", { level: 1, name: "Overview" }).waitFor();
  const thread = await MainThread.of(page);
  let slowest = { cpuMs: 0 };
  for (const { name, path, ready } of pages({ ...worker, display_ref: /img src=x/ })) {
    const { cpuMs } = await thread.during(async () => {
      await visit(page, path);
      await ready(page);
      await settled(page);
    });
    if (cpuMs > slowest.cpuMs) slowest = { cpuMs, name };
    assert.deepEqual(await injected(page), [], name);
    assert.deepEqual(await unescaped(page), [], name);
  }
  atMost(`hostile text: the slowest view, ${slowest.name}`, slowest.cpuMs, VIEW_MS, "ms CPU");
});

consoleTest("hostile text in an open entry stays text", () => host, {}, async (profile) => {
  const { items } = await host.api().transcript(worker);
  const page = await profile.page(workerPath(worker));
  const transcript = new Transcript(page);
  await transcript.rows.last().waitFor();
  for (const kind of ["input", "event", "output", "failure"]) {
    const { seq } = items.find((entry) => entry.kind === kind && /<b id=injected>/.test(JSON.stringify(entry)));
    await visit(page, workerPath(worker, "transcript", `#seq=${seq}`));
    await transcript.sees(seq);
    await transcript.row(seq).getByRole("button").first().click();
    await transcript.row(seq).locator(".entry-details").waitFor();
    assert.deepEqual(await injected(page), [], kind);
    assert.deepEqual(await unescaped(page), [], kind);
  }
});

consoleTest("a line of 1 MiB is cut, offers more, and costs no more than 300 ms", () => host, {}, async (profile) => {
  const api = host.api();
  const long = await api.create(host.runtimeId, "scribe", { display_ref: "long" });
  await api.input(long, `echo ${LONG_LINE}`);
  const { items } = await api.transcript(long, "last=1&preview=100");
  const [{ seq }] = items;
  const page = await profile.page("/workers");
  await page.getByRole("row").filter({ hasText: "long" }).waitFor();
  const thread = await MainThread.of(page);
  const transcript = new Transcript(page);
  const { cpuMs } = await thread.during(async () => {
    await visit(page, workerPath(long));
    await transcript.sees(seq);
  });
  atMost("a line of 1 MiB: the view", cpuMs, VIEW_MS, "ms CPU");
  const shown = await transcript.row(seq).evaluate((row) => row.textContent.length);
  assert.ok(shown < 6_000, `${shown} characters are shown`);
  await transcript.row(seq).getByText(/more/).first().waitFor();
});
