// One build: the bundle for the runner, a component, or the runner.
import { bundle, loader } from "./bundle.mjs";
import { checkEntry } from "./check.mjs";
import { writeComponent, writeRunner } from "./component.mjs";
import { write } from "./file.mjs";
import { checkInterfaces } from "./world.mjs";

/** The name of evaluated text in the stacks of the engine. */
const EVALUATED = "<input>";

/** Builds what the options ask for, and writes it. */
export async function build(options) {
  if (options.runner) return writeRunner(options);
  const [made] = await Promise.all([bundle(options), checkEntry(options)]);
  warn(made.warnings);
  if (options.wit) checkInterfaces(options.wit, made.interfaces, options.entry);
  if (options.bundleOnly) return write(options.bundleOnly, runnerText(made));
  return writeComponent(options, made);
}

/** Returns the text that the runner evaluates. */
export function runnerText(made) {
  return `${loader(made, { file: EVALUATED, base: 0 })}\n`;
}

export function warn(warnings) {
  for (const { text, location } of warnings) {
    const place = location ? `${location.file}:${location.line}:${location.column + 1}: ` : "";
    process.stderr.write(`${place}warning: ${text}\n`);
  }
}
