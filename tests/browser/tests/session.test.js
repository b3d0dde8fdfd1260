// A session that ends while its page is open.

import assert from "node:assert/strict";
import { after, before } from "node:test";

import { consoleTest } from "../harness/console.js";
import { Host } from "../harness/host.js";
import { workerPath } from "../harness/places.js";
import { Transcript } from "../harness/transcript.js";

let host;
before(async () => (host = await Host.start()));
after(() => host?.remove());

consoleTest("a revoked session: a dialog over the page, draft and place are kept, the stream goes on", () => host, { role: null }, async (profile) => {
  profile.watch.allowStatus(401);
  profile.watch.allow(/ERR_INCOMPLETE_CHUNKED_ENCODING/);
  const api = host.api();
  const worker = await api.create(host.runtimeId, "scribe", { display_ref: "scribe" });
  for (let turn = 0; turn < 5; turn += 1) await api.input(worker, "emit-many 60");
  const { token, token_id } = await host.command("token", "create", "--role", "operator");
  await profile.logIn("operator", token);
  const page = await profile.page(workerPath(worker));
  const transcript = new Transcript(page);
  const { last_seq } = await api.transcript(worker, "last=1");
  await transcript.sees(last_seq);
  await transcript.compose("a draft that I would miss");
  await transcript.wheelUp(900);
  const place = await transcript.place();

  await host.command("token", "revoke", token_id);
  const dialog = page.getByRole("dialog", { name: "Your session has ended" });
  await dialog.waitFor({ timeout: 30_000 });
  await dialog.getByLabel("Token").fill(await host.newToken("operator"));
  await page.keyboard.press("Enter");
  await dialog.waitFor({ state: "detached" });
  assert.equal(await transcript.message.inputValue(), "a draft that I would miss");
  const after = await transcript.place();
  assert.deepEqual([after.seq, Math.round(after.top)], [place.seq, Math.round(place.top)]);
  await api.input(worker, "emit-many 5");
  const { last_seq: end } = await api.transcript(worker, "last=1");
  await transcript.row(end).waitFor({ state: "attached" });
});
