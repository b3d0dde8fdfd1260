// The reporter of `npm test`: Node's own, then the measured figures, then one line that counts.

import { Readable } from "node:stream";
import { spec } from "node:test/reporters";

import { forgetFigures, table } from "./harness/figures.js";

export default async function* report(source) {
  forgetFigures();
  let [passed, failed, skipped] = [0, 0, 0];
  async function* counted() {
    for await (const event of source) {
      // A file and a suite only contain tests.
      const counts = event.data?.details?.type !== "suite" && !event.data?.name?.endsWith(".js");
      const skips = event.data?.skip !== undefined || event.data?.todo !== undefined;
      if (event.type === "test:pass" && counts && skips) skipped += 1;
      else if (event.type === "test:pass" && counts) passed += 1;
      if (event.type === "test:fail" && counts) failed += 1;
      yield event;
    }
  }
  yield* Readable.from(counted()).pipe(new spec());
  yield `\n${table()}\n\n${passed} passed, ${failed} failed, ${skipped} skipped\n`;
}
