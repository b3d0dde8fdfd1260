// A runtime on another host that is killed.

import { after, before } from "node:test";

import { consoleTest } from "../harness/console.js";
import { Host } from "../harness/host.js";
import { visit, workerPath } from "../harness/places.js";
import { Transcript } from "../harness/transcript.js";

let host;
let attic;
before(async () => {
  [host, attic] = await Promise.all([
    Host.start(),
    Host.start({ kind: "runtime", id: "attic" }),
  ]);
  await host.addRemote(attic);
});
after(() => Promise.all([host?.remove(), attic?.remove()]));

/** Waits until the registry reaches a runtime. */
async function reached(api, id) {
  const until = AbortSignal.timeout(30_000);
  for (;;) {
    until.throwIfAborted();
    const { items } = await api.get("/api/runtimes");
    if (items.some((one) => one.runtime_id === id && one.status === "available")) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

consoleTest("a killed remote: its rows stay and are marked, the others go on", () => host, {}, async (profile) => {
  profile.watch.allowStatus(503);
  const api = host.api();
  await reached(api, "attic");
  await api.create("attic", "counter", { display_ref: "far-bee" });
  const near = await api.create(host.runtimeId, "counter", { display_ref: "near-bee" });
  const page = await profile.page("/workers");
  const row = (name) => page.getByRole("row").filter({ hasText: name });
  await row("far-bee").waitFor();
  await row("near-bee").waitFor();

  await attic.kill();
  const overview = await profile.page("/");
  await overview.getByText("Unavailable").first().waitFor({ timeout: 30_000 });
  await overview.getByText(/since|last/i).first().waitFor();
  await row("far-bee").filter({ hasText: /unavailable|last known/i })
    .or(page.locator(".gone, .away, .stale", { hasText: "far-bee" }))
    .first().waitFor();
  await page.getByText(/unavailable|does not answer/i).first().waitFor();

  // The other runtime's worker still answers.
  await visit(page, workerPath(near));
  const transcript = new Transcript(page);
  await transcript.write("go on");
  await transcript.ofKind("output").first().waitFor();
  // The list has them still, and tells whose they are.
  await visit(page, "/workers");
  await row("near-bee").waitFor();
  await row("far-bee").waitFor();
  await page.getByText(/attic does not answer/).waitFor();

  await attic.start();
  await overview.getByText("Unavailable").first().waitFor({ state: "detached", timeout: 60_000 });
});
