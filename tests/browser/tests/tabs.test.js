// Many tabs of one browser, which allows six connections to a host.

import { after, before } from "node:test";

import { consoleTest } from "../harness/console.js";
import { wallAtMost } from "../harness/figures.js";
import { Host } from "../harness/host.js";
import { workerPath } from "../harness/places.js";
import { Transcript } from "../harness/transcript.js";

const TABS = 9;

let host;
before(async () => (host = await Host.start()));
after(() => host?.remove());

consoleTest("nine tabs load within 2 s each, and the last one is live", () => host, {}, async (profile) => {
  const api = host.api();
  const worker = await api.create(host.runtimeId, "scribe", { display_ref: "scribe" });
  await api.input(worker, "emit-many 5");
  const { last_seq } = await api.transcript(worker, "last=1");
  let slowest = 0;
  let last;
  for (let tab = 0; tab < TABS; tab += 1) {
    const began = performance.now();
    last = await profile.page(workerPath(worker));
    await new Transcript(last).sees(last_seq);
    slowest = Math.max(slowest, performance.now() - began);
  }
  wallAtMost("nine tabs: the slowest", slowest, 2_000);
  await api.input(worker, "emit-many 5");
  const { last_seq: end } = await api.transcript(worker, "last=1");
  await new Transcript(last).sees(end);
});
