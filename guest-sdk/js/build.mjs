#!/usr/bin/env node
// Builds a worker: see builder/arguments.mjs for the flags.
import { readArguments } from "./builder/arguments.mjs";
import { Fault, report } from "./builder/fault.mjs";
import { build } from "./builder/build.mjs";
import { serve } from "./builder/serve.mjs";

try {
  const options = readArguments(process.argv.slice(2));
  if (options.serve) await serve(options);
  else await build(options);
  process.exit(0);
} catch (error) {
  report(error instanceof Fault ? error : Fault.internal(error));
  process.exit(1);
}
