// Components: the SDK, and the author's bundle, in the engine.
import { fileURLToPath } from "node:url";
import { Built } from "./built.mjs";
import { ENGINE, loader } from "./bundle.mjs";
import { Fault } from "./fault.mjs";
import { write } from "./file.mjs";
import { limitStack } from "./stack.mjs";
import { load } from "./tools.mjs";
import { FETCH, interfacesOf, withWorld, witText } from "./world.mjs";

const SDK = fileURLToPath(new URL("..", import.meta.url));
/**
 * The lowest address of the engine's stack, which begins below 1 MiB. The calls that fit above it
 * need at most the host's default for `wasm_stack_bytes`, 512 KiB, of the host's own stack.
 */
const STACK_LIMIT = 0x10_0000 - 116 * 1024;
/** The name of a component's only module in the stacks of the engine. */
const MODULE = "componentize-qjs:user.js";

/** Writes the component of the author's bundle. */
export async function writeComponent(options, made) {
  const known = interfacesOf(options.wit);
  const isWeb = options.kind === "web";
  const fetch = known.has(FETCH) && (made.interfaces.includes(FETCH) || (isWeb ? calls("fetch", made.script, options) : /\bfetch\b/.test(made.script)));
  const lifecycle = !isWeb && /\b(connected|disconnecting)\b/.test(made.script);
  const head = await runtime(options, isWeb ? "web" : "component", [...new Set([...made.interfaces, ...(fetch ? [FETCH] : [])])].sort());
  const base = head.split("\n").length - 1;
  const text = `${head}try { ${loader(made, { file: MODULE, base })} } catch (error) { globalThis.__skep.refuse(error); }\n`;
  return componentize(options, { fetch, lifecycle }, text);
}

/** Says whether a script may use a global of a name, other than by defining a method of that name. */
function calls(name, script, { tools }) {
  const uses = (node, parent, key) => {
    if (Array.isArray(node)) return node.some((item) => uses(item, parent, key));
    if (node === null || typeof node?.type !== "string") return false;
    if (node.type === "Identifier" && node.name === name) return !(key === "key" && !parent.computed);
    return Object.entries(node).some(([at, value]) => typeof value === "object" && uses(value, node, at));
  };
  return uses(load(tools, "acorn").parse(script, { ecmaVersion: "latest", sourceType: "script" }));
}

/** Writes the runner, which has every interface of the world. */
export async function writeRunner(options) {
  const known = interfacesOf(options.wit);
  const fetch = known.has(FETCH);
  const offered = fetch ? [FETCH] : [];
  return componentize(options, { fetch, lifecycle: true }, await runtime(options, "runner", offered));
}

/** Bundles the SDK's own modules; `interfaces` are those that the author's code gets. */
async function runtime({ tools }, entry, interfaces) {
  const names = interfaces.map((name, index) => `import * as wit${index} from ${JSON.stringify(name)};`);
  const table = interfaces.map((name, index) => `${JSON.stringify(name)}: wit${index}`);
  const contents = `${names.join("\n")}
import { phase } from "./src/runtime/phase.js";
phase.interfaces = { ${table.join(", ")} };
export * from "./src/runtime/${entry}.js";`;
  const result = await load(tools, "esbuild").build({
    ...ENGINE,
    stdin: { contents, resolveDir: SDK, sourcefile: "skep-runtime.js" },
    absWorkingDir: SDK,
    format: "esm",
    minifyWhitespace: true,
    minifySyntax: true,
    conditions: ["skep"],
    external: ["skep:*", "wasi:*"],
  });
  return result.outputFiles[0].text;
}

/** Makes a component of one module's text and writes it, unless the file is that component. */
async function componentize(options, world, jsSource) {
  const built = new Built(options, [jsSource, JSON.stringify({ ...world, kind: options.kind }), witText(options.wit), String(STACK_LIMIT)]);
  if (built.isCurrent()) return;
  const component = await withWorld(options, world, async (witPath) => {
    const { componentize: run } = load(options.tools, "componentize-qjs");
    const made = await run({ witPath, world: "author", jsSource, sync: true }).catch((error) => {
      throw refused(error, options);
    });
    return limitStack(made.component, STACK_LIMIT);
  });
  write(options.out, component);
  built.keep(component);
}

/** Makes the fault of modules that threw while they were loaded. */
function refused(error, { entry }) {
  const text = String(error?.message ?? error);
  const mark = /@skep (\{.*\})/.exec(text)?.[1];
  if (!mark) return new Fault(`${entry ?? "the runner"}: error: the engine refused the bundle: ${text.split("\n")[0]}`);
  const { message, place } = JSON.parse(mark);
  return Fault.at(place ?? entry, message);
}
