// The bundle: one script of the author's modules, with async functions lowered to generators.
import { join } from "node:path";
import * as guest from "../src/index.js";
import { toFault } from "./messages.mjs";
import { makeTable } from "./table.mjs";
import { load } from "./tools.mjs";
import { explainInterface, interfacesOf } from "./world.mjs";

/** The options of esbuild for code that runs on QuickJS without jobs of the engine. */
export const ENGINE = {
  bundle: true,
  write: false,
  platform: "browser",
  target: "es2022",
  charset: "utf8",
  supported: { "async-await": false, "async-generator": false, "for-await": false, "top-level-await": false },
  logLevel: "silent",
  legalComments: "none",
};

/** Bundles the author's modules. Returns the script, its line table and the WIT imports. */
export async function bundle(options) {
  const bundler = await makeBundler(options);
  try {
    return await bundler.bundle();
  } finally {
    await bundler.dispose();
  }
}

/** Makes a bundler that keeps what it read, for many bundles of one entry. */
export async function makeBundler({ project, entry, kind, tools, wit }) {
  const esbuild = load(tools, "esbuild");
  const interfaces = new Set();
  const known = wit ? interfacesOf(wit) : undefined;
  const context = await esbuild.context({
    ...ENGINE,
    stdin: { contents: `export { default } from ${JSON.stringify(`./${entry}`)};`, resolveDir: project, sourcefile: "skep-entry.js" },
    absWorkingDir: project,
    outfile: join(project, "worker.js"),
    format: "iife",
    globalName: "__worker",
    banner: { js: '"use strict";' },
    sourcemap: "external",
    sourcesContent: false,
    conditions: ["skep", "worker"],
    define: { "process.env.NODE_ENV": '"production"', global: "globalThis" },
    loader: { ".wasm": "binary", ".bin": "binary" },
    plugins: [guestPlugin(), interfacePlugin(interfaces, known)],
  });
  return {
    async bundle() {
      interfaces.clear();
      const result = await context.rebuild().catch((error) => {
        throw toFault(error, { entry, kind });
      });
      const [map, script] = [".map", ".js"].map((end) => result.outputFiles.find((file) => file.path.endsWith(end)).text);
      return { script, table: { entry, ...makeTable(JSON.parse(map)) }, interfaces: [...interfaces].sort(), warnings: result.warnings };
    },
    dispose: () => context.dispose(),
  };
}

/** Resolves `@skep/guest` to the SDK that the component or the runner has loaded. */
function guestPlugin() {
  const names = Object.keys(guest).join(", ");
  return {
    name: "skep-guest",
    setup(build) {
      build.onResolve({ filter: /^@skep\/guest(\/.*)?$/ }, ({ path }) => {
        if (path === "@skep/guest") return { path, namespace: "skep" };
        return { errors: [{ text: `${path} is for tests under node --test, and is not in a worker; import @skep/guest` }] };
      });
      build.onLoad({ filter: /.*/, namespace: "skep" }, () => ({ contents: `export const { ${names} } = globalThis.__skep.guest;` }));
    },
  };
}

/** Resolves WIT interfaces, and collects their names. Those that are not `known` are errors. */
function interfacePlugin(interfaces, known) {
  return {
    name: "skep-interfaces",
    setup(build) {
      build.onResolve({ filter: /^(wasi|skep):/ }, ({ path }) => {
        if (known && !known.has(path)) return { errors: [{ text: explainInterface(path, known) }] };
        interfaces.add(path);
        return { path, namespace: "wit" };
      });
      build.onLoad({ filter: /.*/, namespace: "wit" }, ({ path }) => ({
        contents: `module.exports = globalThis.__skep.interface(${JSON.stringify(path)});`,
      }));
    },
  };
}

/** Returns the text that loads a bundle: one line, the bundle, one line. */
export function loader({ script, table }, { file, base }) {
  const head = JSON.stringify({ file, base: base + 1, ...table });
  return `globalThis.__skep.load(${head}, () => {\n${script}return __worker;\n});`;
}
