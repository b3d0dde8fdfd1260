// A `skep up` or `skep runtime` with a store of its own, on a loopback port.

import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { cpSync, existsSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { promisify } from "node:util";

import { Api } from "./api.js";
import * as paths from "./paths.js";

const running = new Set();
// A test that throws leaves no process behind.
process.on("exit", () => running.forEach((child) => child.kill("SIGKILL")));

export class Host {
  /** The folder with the store, the settings and the log. */
  dir;
  /** `up` or `runtime`. */
  kind;
  url;
  runtimeId;
  /** The login link, which works once. */
  login;
  /** The token of the machine's user. */
  token;
  #child;
  #listen = "127.0.0.1:0";
  #extra;

  /**
   * Starts a host and waits until it is ready.
   * @param {{kind?: "up" | "runtime", settings?: string, store?: string, id?: string}} options
   * `settings` is the text of skep.toml, `store` a folder whose content is copied first.
   */
  static async start({ kind = "up", settings = "", store, id } = {}) {
    const host = new Host();
    host.dir = paths.temporary();
    host.kind = kind;
    host.#extra = id ? ["--id", id] : [];
    writeFileSync(join(host.dir, "skep.toml"), `${settings}\n`);
    if (store) cpSync(store, host.store, { recursive: true, mode: 2 /* COPYFILE_FICLONE */ });
    await host.start();
    return host;
  }

  get store() {
    return join(this.dir, "store");
  }

  get pid() {
    return this.#child.pid;
  }

  /** Starts it again on the same port, so that open pages find it. */
  async start() {
    mkdirSync(this.store, { recursive: true, mode: 0o700 });
    const log = openSync(join(this.dir, "log"), "a");
    const settings = join(this.dir, "skep.toml");
    const words = [this.kind, "--output", "json", "--store", this.store, "--settings", settings];
    this.#child = spawn(paths.skep(), [...words, "--listen", this.#listen, ...this.#extra], {
      stdio: ["ignore", "pipe", log],
      env: this.environment(),
    });
    running.add(this.#child);
    const lines = createInterface({ input: this.#child.stdout });
    const ended = once(this.#child, "exit").then(([code]) => {
      throw new Error(`skep ${this.kind} ended with ${code}: ${this.log()}`);
    });
    const [line] = await Promise.race([once(lines, "line"), ended]);
    ended.catch(() => {});
    const ready = JSON.parse(line);
    if (ready.error) throw new Error(`skep ${this.kind} does not start: ${ready.error.message}`);
    this.url = ready.url;
    this.#listen = new URL(ready.url).host;
    this.runtimeId = ready.runtime_id;
    this.login = ready.login;
    this.token = JSON.parse(readFileSync(join(this.store, "host.json"), "utf8")).token;
    if (this.kind === "up") await this.#isReady();
  }

  /** Waits until it has read its workers. It answers before, but lists none. */
  async #isReady() {
    const until = AbortSignal.timeout(60_000);
    while (!(await fetch(`${this.url}/readyz`, { signal: until })).ok) {
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  /** Ends it as an operator does. */
  async stop() {
    await this.#end("SIGTERM");
  }

  /** Ends it as a power cut does. */
  async kill() {
    await this.#end("SIGKILL");
  }

  async #end(signal) {
    const child = this.#child;
    if (child.exitCode === null && child.signalCode === null) {
      const ended = once(child, "exit");
      child.kill(signal);
      await ended;
    }
    running.delete(child);
  }

  /** Kills it and removes its folder. */
  async remove() {
    await this.kill();
    rmSync(this.dir, { recursive: true, force: true });
  }

  /** Runs a command on its store and returns the JSON that it prints. */
  async command(...words) {
    const run = promisify(execFile);
    const { stdout } = await run(paths.skep(), [...words, "--output", "json"], {
      env: { ...this.environment(), SKEP_STORE: this.store },
      cwd: this.dir,
    });
    return JSON.parse(stdout);
  }

  /** Creates an access token. */
  async newToken(role, ...words) {
    return (await this.command("token", "create", "--role", role, ...words)).token;
  }

  /** A client with this token; that of the machine's user if none is given. */
  api(token = this.token) {
    return new Api(this.url, token);
  }

  /** Adds a runtime, which it reaches with a new token of that. */
  async addRemote(remote) {
    const file = join(this.dir, `${remote.runtimeId}.token`);
    writeFileSync(file, await remote.newToken("admin"), { mode: 0o600 });
    await this.command("remote", "add", remote.runtimeId, remote.url, "--token-file", file);
  }

  log() {
    const path = join(this.dir, "log");
    return existsSync(path) ? readFileSync(path, "utf8").slice(-4_000) : "";
  }

  /** The environment of everything that runs for it. */
  environment() {
    const { PATH, HOME } = process.env;
    const cache = join(this.dir, "cache");
    return { PATH, HOME, XDG_CACHE_HOME: cache, SKEP_CI_CACHE: join(this.dir, "ci") };
  }
}
