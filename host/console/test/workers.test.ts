import assert from "node:assert/strict";
import { test } from "node:test";

import { url, workerPath } from "../src/api/client";
import type { WorkerRow } from "../src/api/fleet";
import { Problem } from "../src/api/problem";
import { matches } from "../src/pages/workers/list";
import { line } from "../src/parts/figures";
import { rank } from "../src/parts/palette";

const ROW: WorkerRow = {
  runtime_id: "hive",
  worker_id: "0193-a",
  display_ref: "Tally",
  kind: "service",
  component: "sha256:ab",
  desired: "running",
  observed: { state: "idle" },
  execution: "unconnected",
  queued_inputs: 0,
  updated_at: "2026-11-30T06:34:00.000Z",
  labels: { team: "core", url: "a=b" },
};

test("a path is filled in, and a query leaves out what is not set", () => {
  const path = "/api/runtimes/{runtime_id}/workers";
  const query = { q: "a&b", state: undefined, sort: "", watch: ["x@1", "y@2"] };
  assert.equal(
    url(path, { path: { runtime_id: "a/b" }, query }),
    "/api/runtimes/a%2Fb/workers?q=a%26b&watch=x%401&watch=y%402",
  );
  assert.throws(() => url(path, {}), /no value for \{runtime_id\}/);
  assert.equal(workerPath({ runtime_id: "a/b", worker_id: "c" }), "/api/runtimes/a%2Fb/workers/c");
});

test("a page that is no problem document is not shown as one", () => {
  const problem = Problem.parse(502, "<html>bad gateway</html>");
  assert.equal(problem.message, "The host answered with status 502.");
  assert.equal(problem.code, "unknown");
});

test("a problem keeps its code, its sentence and what it would need", () => {
  const text = JSON.stringify({ code: "forbidden", detail: "no", status: 1, needs: { role: "admin" } });
  const problem = Problem.parse(403, text);
  assert.deepEqual(
    [problem.status, problem.code, problem.message, problem.needs],
    [403, "forbidden", "no", { role: "admin" }],
  );
});

test("a changed worker is told from one that the filters leave out", () => {
  for (const yes of [{}, { q: "TALL" }, { q: "core" }, { label: "team=core" }, { label: "url=a=b" }, { state: "idle" }]) {
    assert.ok(matches(ROW, yes), JSON.stringify(yes));
  }
  const refused = [
    { q: "x" },
    { label: "team=edge" },
    { label: "team" },
    { state: "busy" },
    { kind: "http" },
    { desired: "stopped" },
    { runtime_id: "attic" },
  ];
  for (const no of refused) {
    assert.ok(!matches(ROW, no), JSON.stringify(no));
  }
});

test("the palette ranks the start of a text before its middle", () => {
  assert.equal(rank("Go to Workers", "xyz"), null);
  assert.equal(rank("Go to Workers", "work go"), 1);
  const texts = ["reworked", "Go to Workers", "Workers"];
  const order = texts.map((text) => ({ text, score: rank(text, "work") ?? 9 })).sort((a, b) => a.score - b.score);
  assert.deepEqual(order.map(({ text }) => text), ["Workers", "Go to Workers", "reworked"]);
});

test("a sparkline needs two points and never leaves its frame", () => {
  assert.equal(line([5], 1), null);
  assert.equal(line([0, 10], 1), "M0.00 31.00L100.00 2.00");
  assert.equal(line([0, 0], 1), "M0.00 31.00L100.00 31.00");
});
