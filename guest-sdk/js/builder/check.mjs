// What can be said of the entry's default export without running it.
import { readFileSync } from "node:fs";
import { extname, join } from "node:path";
import { Fault } from "./fault.mjs";
import { load } from "./tools.mjs";

const WANTED = "write `export default { async handle(input) { … } }`";

/** Throws a fault for a default export that is plainly not a worker. */
export async function checkEntry({ project, entry, tools }) {
  const source = readFileSync(join(project, entry), "utf8");
  const loader = { ".ts": "ts", ".mts": "ts", ".tsx": "tsx", ".jsx": "jsx" }[extname(entry)] ?? "js";
  const found = find(await parse(source, loader, tools));
  if (!found) return;
  const place = `${entry}:${placeOf(source)}`;
  const handle = propertyOf(found, "handle");
  if (found.type === "FunctionExpression" || found.type === "FunctionDeclaration" || found.type === "ArrowFunctionExpression") throw Fault.at(place, `the default export is a function; ${WANTED}`);
  if (found.type === "Literal") throw Fault.at(place, `the default export is no object; ${WANTED}`);
  if (found.type !== "ObjectExpression" || found.properties.some(({ type }) => type === "SpreadElement")) return;
  if (!handle) throw Fault.at(place, `the default export has no handle(); ${WANTED}`);
  if (["Literal", "ObjectExpression", "ArrayExpression", "TemplateLiteral"].includes(handle.type)) throw Fault.at(place, `handle of the default export is not a function; ${WANTED}`);
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

/** Returns the node of the default export, through one name and `defineWorker()`. */
function find(program) {
  const named = program?.body.find(({ type }) => type === "ExportDefaultDeclaration")?.declaration ?? specifierOf(program);
  const node = named?.type === "Identifier" ? valueOf(program, named.name) : named;
  return node?.type === "CallExpression" && node.callee.name === "defineWorker" ? node.arguments[0] : node;
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
