// A console over two functions that take lines: one for stdout, one for stderr.
import { format, inspect } from "./inspect.js";

/** Makes a console. `clock` returns milliseconds. */
export function makeConsole({ out, err, clock }) {
  let indent = "";
  const counts = new Map();
  const times = new Map();
  const line = (to) => (...args) => to(`${indent}${format(args).replaceAll("\n", `\n${indent}`)}\n`);
  const log = line(out);
  const error = line(err);
  const took = (label) => `${label}: ${(clock() - times.get(label)).toFixed(3)}ms`;

  return {
    log,
    info: log,
    debug: log,
    warn: error,
    error,
    trace: (...args) => error(`Trace${args.length ? `: ${format(args)}` : ""}\n${new Error().stack.trimEnd()}`),
    dir: (value) => log(inspect(value)),
    table: (value) => log(value),
    assert: (condition, ...args) => {
      if (!condition) error(`Assertion failed${args.length ? `: ${format(args)}` : ""}`);
    },
    group: (...args) => {
      if (args.length) log(...args);
      indent += "  ";
    },
    groupEnd: () => {
      indent = indent.slice(2);
    },
    count: (label = "default") => {
      counts.set(label, (counts.get(label) ?? 0) + 1);
      log(`${label}: ${counts.get(label)}`);
    },
    countReset: (label = "default") => counts.delete(label),
    time: (label = "default") => times.set(label, clock()),
    timeLog: (label = "default", ...args) => times.has(label) && log(took(label), ...args),
    timeEnd: (label = "default") => {
      if (times.has(label)) log(took(label));
      times.delete(label);
    },
  };
}
