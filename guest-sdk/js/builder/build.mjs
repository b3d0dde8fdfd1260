// One build: the bundle for the runner, a component, or the runner.
import { bundle, loader } from "./bundle.mjs";
import { checkEntry } from "./check.mjs";
import { writeComponent, writeRunner } from "./component.mjs";
import { write } from "./file.mjs";

/** The name of evaluated text in the stacks of the engine. */
const EVALUATED = "<input>";

/** Builds what the options ask for, and writes it. */
export async function build(options) {
  if (options.runner) return writeRunner(options);
  const [made] = await Promise.all([bundle(options), checkEntry(options)]);
  for (const warning of made.warnings) process.stderr.write(`${describeWarning(warning)}\n`);
  if (options.bundleOnly) return write(options.bundleOnly, runnerText(made));
  return writeComponent(options, made);
}

/** Returns the text that the runner evaluates. */
export function runnerText(made) {
  return `${loader(made, { file: EVALUATED, base: 0 })}\n`;
}

/** Returns a warning of the bundler as one line. */
export function describeWarning({ text, location }) {
  return `${location ? `${location.file}:${location.line}:${location.column + 1}: ` : ""}warning: ${text}`;
}
