// The flags of build.mjs.
//
//   --project DIR        the author's project
//   --entry FILE         the entry, relative to the project
//   --out FILE           the component to write
//   --kind KIND          what the entry is: service (the default), or web for an HTTP worker
//   --wit DIR            Skep's WIT folder
//   --tools DIR          the folder in which the tools of tools/package.json are installed
//   --bundle-only FILE   write the bundle for the runner to FILE, and no component
//   --runner             build the runner component instead
//   --serve              answer one JSON request a line on stdin with one JSON line on stdout
import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { Fault } from "./fault.mjs";

const TEXTS = ["project", "entry", "out", "kind", "wit", "tools", "bundle-only"];
const KINDS = ["service", "web"];
const SWITCHES = ["runner", "serve"];

/** Reads the flags, with paths made absolute except the entry. */
export function readArguments(words) {
  const flags = {};
  for (let at = 0; at < words.length; at++) {
    const name = words[at].replace(/^--/, "");
    if (!words[at].startsWith("--") || ![...TEXTS, ...SWITCHES].includes(name)) throw new Fault(`error: build.mjs knows no argument ${words[at]}`);
    if (SWITCHES.includes(name)) flags[name] = true;
    else if (at + 1 < words.length) flags[name] = words[++at];
    else throw new Fault(`error: --${name} needs a value`);
  }
  return checked({
    project: resolve(flags.project ?? "."),
    entry: flags.entry,
    kind: flags.kind ?? "service",
    out: flags.out && resolve(flags.project ?? ".", flags.out),
    wit: flags.wit && resolve(flags.wit),
    tools: flags.tools && resolve(flags.tools),
    bundleOnly: flags["bundle-only"] && resolve(flags.project ?? ".", flags["bundle-only"]),
    runner: Boolean(flags.runner),
    serve: Boolean(flags.serve),
  });
}

function checked(options) {
  if (!KINDS.includes(options.kind)) throw new Fault(`error: --kind is ${KINDS.join(" or ")}`);
  if (!options.tools) throw new Fault("error: --tools DIR is missing");
  if (!existsSync(resolve(options.tools, "node_modules", "esbuild"))) {
    throw new Fault(`error: the build's tools are not in ${options.tools}; run: npm ci --prefix ${options.tools}`);
  }
  if (options.serve) return options;
  if (!options.runner && !options.entry) throw new Fault("error: --entry FILE is missing");
  if (!options.bundleOnly && !(options.out && options.wit)) throw new Fault("error: a component needs --out FILE and --wit DIR");
  if (!options.runner && !existsSync(resolve(options.project, options.entry))) {
    throw new Fault(`error: the entry ${options.entry} does not exist; create it, or change \`entry\` in skep-worker.toml`);
  }
  return options;
}
