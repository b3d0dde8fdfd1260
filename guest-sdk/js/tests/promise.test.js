// The order of jobs is that of the engine's own Promise: each program runs with both.
import assert from "node:assert/strict";
import { test } from "node:test";
import { JobPromise, drain, inspect, takeUnhandled } from "../src/globals/promise.js";

const PROGRAMS = {
  "then chains interleave": (P, log) => {
    P.resolve().then(() => log("a1")).then(() => log("a2")).then(() => log("a3"));
    P.resolve().then(() => log("b1")).then(() => log("b2")).then(() => log("b3"));
  },
  "a returned promise takes two jobs more": (P, log) => {
    P.resolve().then(() => P.resolve("x")).then((x) => log(x));
    P.resolve().then(() => log(1)).then(() => log(2)).then(() => log(3)).then(() => log(4));
  },
  "resolve() with a thenable": (P, log) => {
    new P((resolve) => resolve({ then: (done) => (log("then"), done("t")) })).then(log);
    P.resolve().then(() => log(1)).then(() => log(2));
  },
  "resolve() of a promise is itself": (P, log) => {
    const promise = P.resolve(1);
    log(P.resolve(promise) === promise);
    log(P.resolve(new P(() => {})) !== promise);
  },
  "catch and finally": (P, log) => {
    P.reject(new Error("e")).finally(() => log("f")).catch((error) => log(error.message)).finally(() => log("g"));
    P.resolve(1).finally(() => 2).then(log);
    P.resolve(1).finally(() => { throw 3; }).catch(log);
    P.resolve().then(() => log("x")).then(() => log("y")).then(() => log("z"));
  },
  all: (P, log) => {
    P.all([1, P.resolve(2), { then: (done) => done(3) }]).then((list) => log(list.join()));
    P.all([]).then((list) => log(list.length));
    P.all([P.reject("no"), 1]).catch(log);
    P.resolve().then(() => log("t1")).then(() => log("t2")).then(() => log("t3"));
  },
  allSettled: (P, log) => {
    P.allSettled([1, P.reject("no")]).then((list) => log(JSON.stringify(list)));
  },
  any: (P, log) => {
    P.any([P.reject(1), P.resolve(2)]).then(log);
    P.any([P.reject(1)]).catch((error) => log(error.constructor.name, error.errors.join()));
    P.any([]).catch((error) => log(error.errors.length));
  },
  race: (P, log) => {
    P.race([new P(() => {}), P.resolve(1), 2]).then(log);
    P.race([P.resolve().then(() => 1), P.resolve(2)]).then(log);
  },
  "a second resolve is ignored": (P, log) => {
    new P((resolve, reject) => { resolve(1); reject(2); throw 3; }).then(log, (e) => log("bad", e));
  },
  "resolve to itself": (P, log) => {
    const { promise, resolve } = P.withResolvers ? P.withResolvers() : (() => { const made = {}; made.promise = new P((r) => { made.resolve = r; }); return made; })();
    resolve(promise);
    promise.catch((error) => log(error.name));
  },
  "not a function": (P, log) => {
    P.resolve(1).then(undefined).then(2).then(log);
    P.reject(1).catch(null).then(null, log);
    try { new P(3); } catch (error) { log(error.name); }
  },
  subclass: (P, log) => {
    class Sub extends P {}
    const promise = Sub.resolve(1);
    log(promise instanceof Sub, promise.then() instanceof Sub, promise instanceof P);
    promise.then(log);
  },
  "a throwing then getter": (P, log) => {
    P.resolve({ get then() { throw "bad"; } }).catch(log);
  },
  "tags and names": (P, log) => log(String(P.resolve()), P.name, P.prototype.then.length),
  "iterators are closed": (P, log) => {
    const list = { *[Symbol.iterator]() { try { yield 1; yield 2; } finally { log("closed"); } } };
    class Sub extends P { static resolve(value) { if (value === 2) throw "stop"; return super.resolve(value); } }
    Sub.all(list).catch(log);
  },
};

async function natively(program) {
  const lines = [];
  program(Promise, (...parts) => lines.push(parts.map(String).join(" ")));
  await new Promise((resolve) => setTimeout(resolve, 5));
  return lines;
}

function ours(program) {
  const lines = [];
  program(JobPromise, (...parts) => lines.push(parts.map(String).join(" ")));
  drain();
  takeUnhandled();
  return lines;
}

for (const [name, program] of Object.entries(PROGRAMS)) {
  test(name, async () => assert.deepEqual(ours(program), await natively(program)));
}

test("a rejection that nothing handles is known, and one that is handled later is not", () => {
  JobPromise.reject("lost");
  const kept = JobPromise.reject("kept");
  kept.catch(() => {});
  drain();
  assert.deepEqual(takeUnhandled(), ["lost"]);
  assert.deepEqual(takeUnhandled(), []);
});

test("a promise tells its state", () => {
  assert.deepEqual(inspect(new JobPromise(() => {})), { state: "pending", value: undefined });
  assert.deepEqual(inspect(JobPromise.resolve(1)), { state: "fulfilled", value: 1 });
});

test("many jobs run one after the other", () => {
  let count = 0;
  const step = () => (++count < 200_000 ? JobPromise.resolve().then(step) : undefined);
  JobPromise.resolve().then(step);
  drain();
  assert.equal(count, 200_000);
});
