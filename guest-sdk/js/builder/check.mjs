// What can be said of the entry's default export without running it.
import { readFileSync } from "node:fs";
import { extname, join } from "node:path";
import { Fault } from "./fault.mjs";
import { load } from "./tools.mjs";

/** The function that a worker has, and the shortest worker with it. */
export const KINDS = {
  service: { called: "handle", wanted: "write `export default { async handle(input) { … } }`" },
  web: { called: "fetch", wanted: "write `export default { async fetch(request) { return new Response(…) } }`" },
};

/** Throws a fault for a default export that is plainly not a worker. */
export async function checkEntry({ project, entry, kind, tools }) {
  const { called, wanted } = KINDS[kind];
  const source = readFileSync(join(project, entry), "utf8");
  const loader = { ".ts": "ts", ".mts": "ts", ".tsx": "tsx", ".jsx": "jsx" }[extname(entry)] ?? "js";
  const { value: found, named } = find(await parse(source, loader, tools));
  if (!found) return;
  const place = `${entry}:${placeOf(source)}`;
  const handle = propertyOf(found, called);
  if (found.type === "FunctionExpression" || found.type === "FunctionDeclaration" || found.type === "ArrowFunctionExpression") throw Fault.at(place, `the default export is a function; ${wanted}`);
  if (found.type === "Literal") throw Fault.at(place, `the default export is no object; ${wanted}`);
  if (found.type !== "ObjectExpression" || found.properties.some(({ type }) => type === "SpreadElement")) return;
  if (!handle && !named) throw Fault.at(place, `the default export has no ${called}(); ${otherKind(found, kind) ?? wanted}`);
  if (["Literal", "ObjectExpression", "ArrayExpression", "TemplateLiteral"].includes(handle?.type)) throw Fault.at(place, `${called} of the default export is not a function; ${wanted}`);
}

/** Says how a worker of the other kind is built, if the object is one. */
function otherKind(found, kind) {
  const other = Object.keys(KINDS).find((name) => name !== kind && propertyOf(found, KINDS[name].called));
  return other && `with ${KINDS[other].called}(), set kind = "${other}" in skep-worker.toml`;
}

/** Parses a source, or returns `undefined`: the bundler reports its faults. */
async function parse(source, loader, tools) {
  try {
    const { code } = await load(tools, "esbuild").transform(source, { loader, format: "esm", target: "esnext", logLevel: "silent" });
    return load(tools, "acorn").parse(code, { ecmaVersion: "latest", sourceType: "module" });
  } catch {
    return undefined;
  }
}

/** The names that are followed from the default export to its value. */
const MOST_NAMES = 8;
/** The name that esbuild gives to the value of a default export. */
const UNNAMED = "stdin_default";

/**
 * Returns the value of the default export, through names and `defineWorker()`; and whether the
 * author's own name is among them, by which the object may get a handle later.
 */
function find(program) {
  let value = program?.body.find(({ type }) => type === "ExportDefaultDeclaration")?.declaration ?? specifierOf(program);
  let named = false;
  for (let count = 0; count < MOST_NAMES; count++) {
    if (value?.type === "Identifier") {
      named ||= value.name !== UNNAMED;
      value = valueOf(program, value.name);
    } else if (value?.type === "CallExpression" && value.callee.name === "defineWorker") [value] = value.arguments;
  }
  return { value, named };
}

function specifierOf(program) {
  const lists = program?.body.filter(({ type, source }) => type === "ExportNamedDeclaration" && !source) ?? [];
  return lists.flatMap(({ specifiers }) => specifiers).find(({ exported }) => exported.name === "default")?.local;
}

function valueOf(program, name) {
  for (const node of program.body) {
    if (node.type === "FunctionDeclaration" && node.id.name === name) return node;
    const variable = node.type === "VariableDeclaration" && node.declarations.find(({ id }) => id.name === name);
    if (variable) return variable.init ?? undefined;
  }
  return undefined;
}

function propertyOf(object, name) {
  return object.properties?.find(({ key }) => (key?.name ?? key?.value) === name)?.value;
}

/** Returns line and column of the default export in the author's own text. */
function placeOf(source) {
  const at = Math.max(0, source.search(/^\s*export\s+default\b|^\s*export\s*\{[^}]*\bdefault\b/m));
  const before = source.slice(0, at + /^\s*/.exec(source.slice(at))[0].length).split("\n");
  return `${before.length}:${before.at(-1).length + 1}`;
}
