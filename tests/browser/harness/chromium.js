// Chromium, started once per test file. Each test has a context of its own, which is a new profile.

import { chromium as engine } from "playwright-core";

import { chromium } from "./paths.js";

const FLAGS = [
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  // Exact figures of the heap.
  "--enable-precise-memory-info",
];

let browser;

export async function launched() {
  browser ??= engine.launch({
    executablePath: chromium(),
    headless: true,
    // Chromium's sandbox refuses to run as root, which containers of a CI run as.
    chromiumSandbox: process.getuid() !== 0,
    args: FLAGS,
  });
  return browser;
}

export async function close() {
  await (await browser)?.close();
  browser = undefined;
}
