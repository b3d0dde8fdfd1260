// A server for `skep dev`: one JSON request a line on stdin, `{"entry", "project", "bundleOnly"}`
// with the flags' names; one JSON line on stdout, `{"ok", "messages", "ms"}`. The bundler keeps what
// it read between builds of one entry.
import { createInterface } from "node:readline";
import { resolve } from "node:path";
import { runnerText } from "./build.mjs";
import { makeBundler } from "./bundle.mjs";
import { checkEntry } from "./check.mjs";
import { Fault } from "./fault.mjs";
import { write } from "./file.mjs";
import { checkInterfaces } from "./world.mjs";

/** Answers requests until stdin ends. */
export async function serve(defaults) {
  const bundlers = new Map();
  for await (const line of createInterface({ input: process.stdin })) {
    if (line.trim() === "") continue;
    const start = performance.now();
    const answer = await respond(line, defaults, bundlers);
    process.stdout.write(`${JSON.stringify({ ...answer, ms: Math.round(performance.now() - start) })}\n`);
  }
  for (const bundler of bundlers.values()) await bundler.dispose();
}

async function respond(line, defaults, bundlers) {
  try {
    const options = readRequest(line, defaults);
    const key = JSON.stringify([options.project, options.entry]);
    if (!bundlers.has(key)) bundlers.set(key, await makeBundler(options));
    await checkEntry(options);
    const made = await bundlers.get(key).bundle();
    if (options.wit) checkInterfaces(options.wit, made.interfaces, options.entry);
    write(options.bundleOnly, runnerText(made));
    return { ok: true, messages: [] };
  } catch (error) {
    return { ok: false, messages: (error instanceof Fault ? error : Fault.internal(error)).faults };
  }
}

function readRequest(line, defaults) {
  let request;
  try {
    request = JSON.parse(line);
  } catch {
    throw new Fault("error: a request of --serve is one JSON object a line");
  }
  const project = resolve(request.project ?? defaults.project);
  const entry = request.entry ?? defaults.entry;
  const out = request.bundleOnly ?? defaults.bundleOnly;
  if (!entry || !out) throw new Fault("error: a request of --serve needs entry and bundleOnly");
  return { ...defaults, project, entry, bundleOnly: resolve(project, out) };
}
