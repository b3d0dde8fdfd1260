import assert from "node:assert/strict";
import { test } from "node:test";

import { rates, seriesOf } from "../src/pages/runtime-history";

test("a counter becomes a rate per second", () => {
  assert.deepEqual(rates([[0, 0], [1000, 5], [3000, 9]]), [5, 2]);
  assert.deepEqual(rates([[0, 7]]), []);
});

test("a restarted counter counts from zero", () => {
  assert.deepEqual(rates([[0, 100], [1000, 4]]), [4]);
});

test("two samples of one time give no rate", () => {
  assert.deepEqual(rates([[5, 1], [5, 9]]), [0]);
});

test("gauges are drawn as they are", () => {
  const at = "2026-11-30T00:00:00.000Z";
  const sample = { at, workers: 3, connected: 1, memory_bytes: 7, turns: 2, queued_inputs: 4 };
  const series = seriesOf([sample]);
  assert.deepEqual([series.workers, series.memory, series.queued, series.turns], [[3], [7], [4], []]);
});
