import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import worker from "../src/worker.js";
import { double, respond } from "@skep/guest/testing";

beforeEach(() => double.reset());

async function ask(path, init) {
  const response = await respond(worker, path, init);
  return [response.status, await response.text()];
}

const sign = (body) => ask("/book", { method: "POST", body });

test("it greets by the name in the query", async () => {
  assert.deepEqual(await ask("/"), [200, "hello, guest\n"]);
  assert.deepEqual(await ask("/?a=b&name=Ada+%F0%9F%90%9D"), [200, "hello, Ada 🐝\n"]);
});

test("the book has the lines in order", async () => {
  assert.deepEqual(await ask("/book"), [200, ""]);
  assert.deepEqual(await sign("Ada was here"), [201, "line 1\n"]);
  assert.deepEqual(await sign("and Bo\n"), [201, "line 2\n"]);
  assert.deepEqual(await ask("/book"), [200, "Ada was here\nand Bo\n"]);
});

test("what is no line is refused", async () => {
  for (const body of ["", " \n", "two\nlines", new Uint8Array([0xff]), "x".repeat(1_001)]) {
    assert.equal((await sign(body))[0], 400);
  }
  assert.equal((await ask("/book", { method: "DELETE" }))[0], 405);
  assert.equal((await ask("/other"))[0], 404);
  assert.equal(double.state.size, 0);
});
