import assert from "node:assert/strict";
import { test } from "node:test";

import { type Turn, turnOf } from "../src/flows/replay";
import { type ReplayHost, replay } from "../src/flows/replay-run";

function original(text: string): Turn {
  const turn = turnOf(text, [], 1);
  return { ...turn, input: { contentType: "text/plain", text, base64: null }, outcome: "completed" };
}

/** A host that records calls; `fail` decides which of them fail. */
function host(fail: (call: string) => boolean = () => false): { host: ReplayHost; calls: string[] } {
  const calls: string[] = [];
  let forks = 0;
  const call = (text: string) => {
    calls.push(text);
    return fail(text) ? Promise.reject(new Error(text)) : Promise.resolve();
  };
  return {
    calls,
    host: {
      async fork(component) {
        await call(`fork ${component ?? "present"}`);
        forks += 1;
        return `${component ?? "present"}-${String(forks)}`;
      },
      async run(worker, input) {
        await call(`run ${worker} ${input.text ?? ""}`);
        return { ...original(input.text ?? ""), inputId: worker };
      },
      async remove(worker) {
        await call(`remove ${worker}`);
      },
    },
  };
}

const plan = { component: "new", originals: [original("a"), original("b")], withPresent: true };
const never = new AbortController().signal;

test("each side gets every input in order, then both are removed", async () => {
  const fake = host();
  const done = await replay(fake.host, plan, () => undefined, never);
  assert.equal(done.error, null);
  assert.deepEqual(done.left, []);
  assert.ok(done.rows.every((row) => row.next && row.present));
  for (const side of ["new-1", "present-2"]) {
    const of = fake.calls.filter((call) => call.includes(side));
    assert.deepEqual(of, [`run ${side} a`, `run ${side} b`, `remove ${side}`]);
  }
});

test("a failing turn ends both sides, and both are removed", async () => {
  const fake = host((call) => call === "run new-1 a");
  const done = await replay(fake.host, plan, () => undefined, never);
  assert.match(String(done.error), /run new-1 a/);
  const removed = fake.calls.filter((call) => call.startsWith("remove"));
  assert.deepEqual(removed.sort(), ["remove new-1", "remove present-2"]);
  assert.ok(!fake.calls.includes("run new-1 b"));
});

test("a refused fork removes the other scratch worker", async () => {
  const fake = host((call) => call === "fork new");
  const done = await replay(fake.host, plan, () => undefined, never);
  assert.match(String(done.error), /fork new/);
  const removed = fake.calls.filter((call) => call.startsWith("remove"));
  assert.deepEqual(removed, ["remove present-1"]);
});

test("a scratch worker that cannot be removed is named", async () => {
  const fake = host((call) => call === "remove new-1");
  const done = await replay(fake.host, plan, () => undefined, never);
  assert.deepEqual(done.left, ["new-1"]);
});

test("aborting stops before the next input and removes", async () => {
  const fake = host();
  const abort = new AbortController();
  const done = await replay(fake.host, { ...plan, withPresent: false }, () => {
    abort.abort();
  }, abort.signal);
  assert.equal(done.error, null);
  assert.deepEqual(fake.calls, ["fork new", "run new-1 a", "remove new-1"]);
});

test("an input that is not known whole is skipped", async () => {
  const fake = host();
  const originals = [{ ...original("a"), input: null }, original("b")];
  await replay(fake.host, { ...plan, originals, withPresent: false }, () => undefined, never);
  assert.deepEqual(fake.calls, ["fork new", "run new-1 b", "remove new-1"]);
});
