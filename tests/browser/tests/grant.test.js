// A denial, and the way past it.

import assert from "node:assert/strict";
import { after, before } from "node:test";

import { consoleTest } from "../harness/console.js";
import { Host } from "../harness/host.js";
import { startPeer } from "../harness/peer.js";
import { workerPath } from "../harness/places.js";
import { Transcript } from "../harness/transcript.js";

let host;
let peer;
before(async () => {
  host = await Host.start();
  peer = await startPeer();
});
after(async () => {
  peer?.close();
  await host?.remove();
});

/** Creates a worker, lets it be denied a request, and opens the denial. */
async function denied(profile) {
  const api = host.api();
  const worker = await api.create(host.runtimeId, "caller", { display_ref: "caller" });
  await api.input(worker, `get ${peer.url}/`);
  const { items } = await api.transcript(worker);
  const denial = items.find(({ kind }) => kind === "denied");
  assert.ok(denial, "the request was denied");
  const page = await profile.page(workerPath(worker, "transcript", `#seq=${denial.seq}`));
  await new Transcript(page).sees(denial.seq);
  const button = page.getByRole("button", { name: "Grant and retry" });
  if ((await button.count()) === 0) await new Transcript(page).row(denial.seq).getByRole("button").first().click();
  await button.waitFor();
  return { api, worker, page, button, before: items.length };
}

consoleTest("denied, then grant and retry completes the same input, and Undo takes the grant back", () => host, {}, async (profile) => {
  const { api, worker, page, button } = await denied(profile);
  await page.getByText(/^\+/).or(page.locator("ins, .added, [data-change=added]")).first().waitFor();
  await button.click();
  await page.getByText(/Granted, and the input was sent again: completed/).waitFor();
  const granted = await api.worker(worker);
  assert.equal(granted.grants.http.length, 1);
  const { items } = await api.transcript(worker);
  const inputs = items.filter(({ kind }) => kind === "input");
  assert.equal(inputs.length, 2);
  assert.equal(inputs[0].body, inputs[1].body, "the same input was sent");
  const output = items.filter(({ kind }) => kind === "output").at(-1);
  assert.match(output.body, /200[\s\S]*hello/);

  await page.getByRole("button", { name: "Undo" }).click();
  await page.getByText(/The grant was taken back/).waitFor();
  const undone = await api.worker(worker);
  assert.deepEqual(undone.grants.http ?? [], []);
});

consoleTest("grants that another person changed meanwhile are shown, and nothing is overwritten", () => host, {}, async (profile) => {
  profile.watch.allowStatus(409);
  const { api, worker, page, button } = await denied(profile);
  const path = `/api/runtimes/${worker.runtime_id}/workers/${worker.worker_id}`;
  // The page must not hear of it before it sends its own change.
  await profile.context.route("**/api/events*", (route) => route.abort());
  profile.watch.allowAway();
  let changed = false;
  await page.route(`**${path}`, async (route) => {
    if (route.request().method() === "PATCH" && !changed) {
      changed = true;
      await api.send("PATCH", path, { json: { grants: { http: [{ scheme: "https", host: "example.com" }] } } });
    }
    await route.fallback();
  });
  await button.click();
  await page.getByText(/grants were changed meanwhile; nothing was granted or sent/).waitFor();
  const { grants } = await api.worker(worker);
  assert.deepEqual(grants.http.map(({ host }) => host), ["example.com"]);
  await page.getByRole("button", { name: "Grant on top and retry" }).click();
  await page.getByText(/Granted, and the input was sent again: completed/).waitFor();
  const { grants: both } = await api.worker(worker);
  assert.equal(both.http.length, 2);
});
