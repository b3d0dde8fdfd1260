// The record of the last build. A component's bytes differ from build to build, since the engine's
// snapshot has random numbers; with this record, the same input leaves the file as it is.
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { versionsOf } from "./tools.mjs";

const hash = (...parts) => parts.reduce((sum, part) => sum.update(part).update("\0"), createHash("sha256")).digest("hex");

/** The input and output of a build, kept in `.skep`. */
export class Built {
  #file;
  #out;
  #key;

  /** `parts` are the texts that the component is made from. */
  constructor({ project, out, tools }, parts) {
    this.#file = join(project, ".skep", `built-${basename(out)}.json`);
    this.#out = out;
    this.#key = hash(JSON.stringify(versionsOf(tools)), ...parts);
  }

  /** Says whether the output is that of the same input. */
  isCurrent() {
    if (!existsSync(this.#file) || !existsSync(this.#out)) return false;
    try {
      const { input, output } = JSON.parse(readFileSync(this.#file, "utf8"));
      return input === this.#key && output === hash(readFileSync(this.#out));
    } catch {
      return false;
    }
  }

  /** Keeps the input and output. */
  keep(component) {
    mkdirSync(join(this.#file, ".."), { recursive: true });
    writeFileSync(this.#file, `${JSON.stringify({ input: this.#key, output: hash(component) })}\n`);
  }
}
