// Following a transcript while it grows.

import assert from "node:assert/strict";
import { after, before } from "node:test";

import { consoleTest } from "../harness/console.js";
import { MainThread } from "../harness/cost.js";
import { atMost } from "../harness/figures.js";
import { Host } from "../harness/host.js";
import { emitSteadily } from "../harness/load.js";
import { workerPath } from "../harness/places.js";
import { Transcript } from "../harness/transcript.js";

/** Lines a second, for how long. */
const RATE = 1_000;
const SECONDS = 10;

let host;
before(async () => (host = await Host.start()));
after(() => host?.remove());

consoleTest("1,000 lines a second for 10 s are followed; scrolled up, the place holds; End follows again", () => host, {}, async (profile, t) => {
  const api = host.api();
  const worker = await api.create(host.runtimeId, "scribe", { display_ref: "scribe" });
  await api.input(worker, "emit-many 500");
  const page = await profile.page(workerPath(worker));
  const transcript = new Transcript(page);
  const { last_seq: before } = await api.transcript(worker, "last=1");
  await transcript.sees(before);

  // Gaps at the end of each frame, recorded by the page itself.
  await transcript.scroller.evaluate((box) => {
    window.gaps = [];
    const look = () => {
      requestAnimationFrame(() => setTimeout(look));
      window.gaps.push(box.scrollHeight - box.scrollTop - box.clientHeight);
    };
    look();
  });
  const thread = await MainThread.of(page);
  const stop = emitSteadily(api, worker, RATE);
  const { perFrameMs, frames } = await thread.during(() => page.waitForTimeout(SECONDS * 1_000));
  await stop();
  const { last_seq: last } = await api.transcript(worker, "last=1");
  assert.ok(last - before >= RATE * SECONDS * 0.9, `${last - before} entries in ${SECONDS} s`);
  await transcript.sees(last);
  const gaps = await page.evaluate(() => window.gaps);
  atMost("follow: gap to the end", Math.max(...gaps.slice(1)), 2, "px");
  t.diagnostic(`${frames} frames, ${Math.round(perFrameMs * frames)} ms CPU`);
  // A loaded machine draws fewer frames, each with more lines; per time, the cost is the same.
  atMost("follow: main thread", (perFrameMs * frames) / (SECONDS * 60), 16, "ms CPU per 1/60 s");
  assert.ok(frames > SECONDS * 5, `${frames} frames`);

  await transcript.wheelUp(400);
  const held = await transcript.place();
  await api.input(worker, "emit-many 500");
  const { last_seq: more } = await api.transcript(worker, "last=1");
  // They are in the page, below what is seen.
  await transcript.row(more).waitFor({ state: "attached" });
  const after = await transcript.place();
  assert.equal(after.seq, held.seq, "the same entry is at the top");
  atMost("scrolled up: the place moves by", Math.abs(after.top - held.top), 1, "px");

  await transcript.scroller.focus();
  await page.keyboard.press("End");
  await transcript.sees(more);
  await api.input(worker, "emit-many 50");
  const { last_seq: end } = await api.transcript(worker, "last=1");
  await transcript.sees(end);
  atMost("after End: gap to the end", await transcript.gap(), 2, "px");
});
