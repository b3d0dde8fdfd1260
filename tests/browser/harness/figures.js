// Measured figures: asserted where they arise, shown in a table at the end of the run.

import assert from "node:assert/strict";
import { appendFileSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";

import { kept } from "./paths.js";

/**
 * Wall time of a loaded machine, or of a debug build of the host, against that of the issue's
 * budgets. `SKEP_BROWSER_STRICT=1` takes the room away: for an idle machine and a release build.
 */
const ROOM = process.env.SKEP_BROWSER_STRICT === "1" ? 1 : 4;

const file = () => join(kept("figures"), `${process.pid}.jsonl`);

function note(row) {
  appendFileSync(file(), `${JSON.stringify(row)}\n`);
}

/** Asserts that a measured value is within its budget; neither depends on the machine's load. */
export function atMost(name, value, budget, unit) {
  note({ name, value, budget, unit });
  assert.ok(value <= budget, `${name}: ${round(value)} ${unit}, the budget is ${budget} ${unit}`);
}

/**
 * Asserts that a wall time is within its budget, with room for a loaded machine. `hostMs` of it is
 * time that the page waited for the host, whose debug build is ten times slower than a release: it
 * counts only on an idle machine.
 */
export function wallAtMost(name, ms, budget, hostMs = 0) {
  note({ name, value: ms, hostMs, budget, unit: "ms" });
  const counted = ROOM === 1 ? ms : ms - hostMs;
  const most = budget * ROOM;
  assert.ok(counted <= most, `${name}: ${round(counted)} ms, the budget is ${budget} ms (x ${ROOM})`);
}

/** Returns the time that a page waited for answers of a path since its clock showed `since`. */
export function waitedFor(page, path, since) {
  return page.evaluate(
    ([path, since]) =>
      performance
        .getEntriesByType("resource")
        .filter(({ name, startTime }) => new URL(name).pathname === path && startTime >= since)
        .reduce((sum, { requestStart, responseStart }) => sum + responseStart - requestStart, 0),
    [path, since],
  );
}

/** Measures the wall time of a step. */
export async function timed(step) {
  const began = performance.now();
  const result = await step();
  return { ms: performance.now() - began, result };
}

const round = (value) => Math.round(value * 10) / 10;

/** Forgets the figures of earlier runs. */
export function forgetFigures() {
  rmSync(kept("figures"), { recursive: true, force: true });
}

/** Returns the figures of all test files as a table. */
export function table() {
  const folder = kept("figures");
  const rows = readdirSync(folder).flatMap((name) =>
    readFileSync(join(folder, name), "utf8").trim().split("\n").map((line) => JSON.parse(line)),
  );
  const cells = rows.map(({ name, value, hostMs, budget, unit }) => {
    const notes = [
      value > budget && "over the budget",
      hostMs && `${round(hostMs)} ms of it for the host`,
    ];
    const over = notes.filter(Boolean).join(", ");
    return [name, `${round(value)} ${unit}`, `≤ ${budget} ${unit}`, over];
  });
  const widths = [0, 1, 2].map((n) => Math.max(0, ...cells.map((row) => row[n].length)));
  const line = (row) => row.map((cell, n) => (n === 0 ? cell.padEnd(widths[0]) : cell.padStart(widths[n] ?? 0)));
  return cells.map((row) => line(row).join("  ").trimEnd()).join("\n");
}
