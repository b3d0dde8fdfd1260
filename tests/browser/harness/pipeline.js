// A project with a pipeline, run by `skep ci run` into the cache that a host shows.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { copyFileSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import * as paths from "./paths.js";

const running = new Set();
process.on("exit", () => running.forEach((child) => child.kill("SIGKILL")));

export class Pipeline {
  /** @param {Host} host The host whose folder holds the project, and whose cache the runs use. */
  constructor(host, name, text, files = {}) {
    this.host = host;
    this.dir = join(host.dir, name);
    mkdirSync(this.dir);
    copyFileSync(paths.guest("probe"), join(this.dir, "probe.wasm"));
    const head = 'version = 1\n[tool.probe]\nfile = "probe.wasm"\n';
    this.write("skep-ci.toml", head + text);
    for (const [file, content] of Object.entries(files)) this.write(file, content);
  }

  write(file, content) {
    writeFileSync(join(this.dir, file), content);
  }

  /** Starts a run. `ended` is its result, once it has one. */
  start(...words) {
    const child = spawn(paths.skep(), ["ci", "run", "--output", "json", ...words], {
      cwd: this.dir,
      env: this.host.environment(),
      stdio: ["ignore", "pipe", "pipe"],
    });
    running.add(child);
    const out = [];
    const err = [];
    child.stdout.on("data", (chunk) => out.push(chunk));
    child.stderr.on("data", (chunk) => err.push(chunk));
    const ended = once(child, "close").then(() => {
      running.delete(child);
      const text = Buffer.concat(out).toString();
      if (text === "" && child.signalCode === null) throw new Error(Buffer.concat(err).toString());
      return text && JSON.parse(text);
    });
    return { child, ended };
  }

  /** Runs it to its end and returns the result. */
  run(...words) {
    return this.start(...words).ended;
  }
}
