import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import worker from "../src/worker.js";
import { double, send } from "@skep/guest/testing";

beforeEach(() => double.reset());

test("every input adds one, whatever it is", async () => {
  assert.equal((await send(worker, "hello")).text(), "1");
  assert.equal((await send(worker, new Uint8Array([0xff, 0]))).text(), "2");
  assert.equal((await send(worker, "")).text(), "3");
});

test("each turn emits one event", async () => {
  await send(worker, "a");
  await send(worker, "b");
  assert.deepEqual(double.events.map((event) => [event.kind, event.text()]), [["counted", "1"], ["counted", "2"]]);
});

test("only save writes a file", async () => {
  await send(worker, "saved");
  assert.equal(double.files.size, 0);
  await send(worker, "save");
  assert.equal(new TextDecoder().decode(double.files.get("count.txt")), "2\n");
});

test("a state that is not a number is a failure", async () => {
  double.state.set("count", new TextEncoder().encode("many"));
  await assert.rejects(send(worker), { code: "bad-state" });
  assert.equal(double.events.length, 0);
});
