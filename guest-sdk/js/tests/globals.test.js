// The other globals, against Node's own where it has them.
import assert from "node:assert/strict";
import { test } from "node:test";
import util from "node:util";
import { AbortController as OurController, AbortSignal as OurSignal } from "../src/globals/events.js";
import { structuredClone as ourClone } from "../src/globals/clone.js";
import { makeConsole } from "../src/globals/console.js";
import { makeCrypto, randomFloat } from "../src/globals/crypto.js";
import { format, inspect } from "../src/globals/inspect.js";
import { Timers } from "../src/globals/timers.js";

const circular = { a: [1] };
circular.self = circular;
const buffer = new ArrayBuffer(8);

test("values are cloned as Node clones them", () => {
  const values = [
    1, "x", null, undefined, 10n, -0, NaN, new Date(5), /a/gi, [1, , 3], { a: { b: [1] } }, circular,
    new Map([[{ k: 1 }, new Set([1])]]), new Uint8Array([1, 2]), { a: new Uint16Array(buffer, 2, 2), b: new DataView(buffer) },
    Object(1), Object("s"), Object(true), new (class Point { x = 1; })(), Object.create({ inherited: 1 }), JSON.parse('{"__proto__": 1}'),
  ];
  for (const value of values) assert.deepStrictEqual(ourClone(value), structuredClone(value), inspect(value));
  const shared = ourClone({ a: new Uint8Array(buffer), b: new Uint8Array(buffer) });
  assert.equal(shared.a.buffer, shared.b.buffer);
});

test("errors are cloned with name, message, stack and cause", () => {
  const error = new RangeError("far", { cause: new Error("why") });
  const copy = ourClone(error);
  assert.deepEqual([copy instanceof RangeError, copy.message, copy.stack, copy.cause.message], [true, "far", error.stack, "why"]);
});

test("what cannot be cloned is refused as in Node", () => {
  for (const value of [() => {}, Symbol("s"), { f() {} }, new WeakMap(), Promise.resolve()]) {
    assert.throws(() => ourClone(value), { name: "DataCloneError" });
    assert.throws(() => structuredClone(value), { name: "DataCloneError" });
  }
});

test("the console writes values as Node writes them", () => {
  const values = [
    ["%s is %d and %i %f %j%%", "x", 1.5, 2.7, "3.5x", { a: 1 }], ["%s"], ["a", "b", 1], [{ a: 1, b: "x", c: [1, 2] }], [[]], [{}],
    [new Map([["k", 1]])], [new Set([1, "a"])], [null, undefined, true, 10n, -0], [Symbol("s")], [new Date(0)], [/r/g], [class A {}],
    [function f() {}], [() => {}], [{ get x() { return 1; } }], [{ a: { b: { c: { d: 1 } } } }], [new (class Point { x = 1; })()], [["it's", 'a "b"']],
    [Object.create(null)], [new Uint8Array([1, 2])],
  ];
  for (const args of values) assert.equal(format(args), util.format(...args), util.inspect(args));
  assert.equal(inspect(circular).includes("[Circular]"), true);
});

test("the console has levels, groups and counts", () => {
  const lines = { out: [], err: [] };
  const made = makeConsole({ out: (text) => lines.out.push(text), err: (text) => lines.err.push(text), clock: () => 0 });
  made.log("a");
  made.group("g");
  made.info("b\nc");
  made.groupEnd();
  made.debug("d");
  made.count();
  made.warn("w");
  made.error("e");
  made.assert(false, "bad");
  made.trace("t");
  assert.deepEqual(lines.out, ["a\n", "g\n", "  b\n  c\n", "d\n", "default: 1\n"]);
  assert.deepEqual(lines.err.slice(0, 3), ["w\n", "e\n", "Assertion failed: bad\n"]);
  assert.match(lines.err[3], /^Trace: t\n/);
});

test("random values fill arrays, and have the form of a UUID", () => {
  let next = 0;
  const bytes = (count) => Uint8Array.from({ length: count }, () => next++ & 255);
  const made = makeCrypto(bytes);
  assert.deepEqual([...made.getRandomValues(new Uint16Array(2))], [0x0100, 0x0302]);
  assert.match(made.randomUUID(), /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  assert.throws(() => made.getRandomValues(new Float32Array(1)), { name: "TypeMismatchError" });
  assert.throws(() => made.getRandomValues(new Uint8Array(65537)), { name: "QuotaExceededError" });
  assert.equal(randomFloat((count) => new Uint8Array(count)), 0);
  assert.equal(randomFloat((count) => new Uint8Array(count).fill(255)), 1 - 2 ** -53);
});

test("timers run in the order of their times", () => {
  let now = 0;
  const timers = new Timers(() => now);
  const ran = [];
  timers.add(() => ran.push("late"), 20, []);
  timers.add((name) => ran.push(name), 10, ["early"]);
  timers.add(() => ran.push("also early"), 10, []);
  const every = timers.add(() => ran.push("every"), 8, [], true);
  timers.remove(timers.add(() => ran.push("never"), 1, []));
  while (ran.length < 6) {
    now += timers.wait();
    timers.runNext();
  }
  assert.deepEqual(ran, ["every", "early", "also early", "every", "late", "every"]);
  timers.remove(every);
  assert.equal(timers.wait(), undefined);
});

test("a signal aborts once, with its reason", () => {
  const controller = new OurController();
  const seen = [];
  controller.signal.addEventListener("abort", () => seen.push(controller.signal.reason));
  controller.signal.onabort = () => seen.push("onabort");
  controller.abort("why");
  controller.abort("again");
  assert.deepEqual(seen, ["onabort", "why"]);
  assert.throws(() => controller.signal.throwIfAborted(), (error) => error === "why");
  assert.equal(OurSignal.abort().reason.name, "AbortError");
  assert.equal(OurSignal.any([new OurController().signal, OurSignal.abort("x")]).reason, "x");
  assert.throws(() => new OurSignal(), TypeError);
});
