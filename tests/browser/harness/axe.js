// The accessibility checks of axe-core, for WCAG 2.2 AA.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const source = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

const TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];

/** Asserts that axe finds nothing serious or critical on a page as it is now. */
export async function accessible(page, name) {
  await page.evaluate(source);
  const { violations } = await page.evaluate(
    (tags) => window.axe.run({ runOnly: tags, resultTypes: ["violations"] }),
    TAGS,
  );
  const serious = violations
    .filter(({ impact }) => impact === "serious" || impact === "critical")
    .map(({ id, help, nodes }) => ({
      id,
      help,
      at: nodes.slice(0, 5).map(({ target, failureSummary }) => `${target.join(" ")}: ${failureSummary}`),
    }));
  assert.deepEqual(serious, [], name);
}

/** Contrast below which axe does not go, but the console does: text against what is behind it. */
export async function contrasts(page, least) {
  await page.evaluate(source);
  const results = await page.evaluate(
    () => window.axe.run({ runOnly: ["color-contrast-enhanced", "color-contrast"], resultTypes: ["passes", "violations", "incomplete"] }),
  );
  const low = [];
  for (const { nodes } of [...results.passes, ...results.violations]) {
    for (const { any, target } of nodes) {
      const data = any.find(({ data }) => data?.contrastRatio)?.data;
      if (data && data.contrastRatio < least) {
        low.push(`${target.join(" ")}: ${data.contrastRatio} (${data.fgColor} on ${data.bgColor})`);
      }
    }
  }
  return [...new Set(low)];
}
