// The double enforces the same rules on a worker as the host.
import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { Failure, config, context, data, state, transcript } from "../src/index.js";
import { connected, disconnecting, double, send } from "../src/testing.js";

/** A worker that does what its input says. */
const script = {
  async handle(input) {
    const text = input.text();
    if (text === "write") state.set("key", "value");
    else if (text === "write and fail") {
      state.set("key", "other");
      transcript.emit("tried", "it");
      throw new Failure("asked", "the input asked for it");
    } else if (text === "write and throw") {
      state.set("key", "other");
      throw new TypeError("boom");
    } else if (text === "who") return `${context.inputId} ${context.attempt}`;
    else if (text === "flood") for (;;) transcript.emit("tick", "");
    else if (text === "json") return { keys: [...state.keys()] };
    else if (text === "bytes") return new Uint8Array([1]);
    else if (text === "nothing") return undefined;
    else if (text === "html") return { contentType: "text/html", body: "<p>" };
    else if (text.startsWith("fetch ")) return (await fetch(text.slice(6), { method: "POST", body: "b", headers: { authorization: "x" } })).text();
    else throw new Failure("bad-request", text);
    return "ok";
  },

  connected(reason) {
    assert.throws(() => state.set("key", reason), { code: "state-unavailable" });
    assert.equal(state.get("key"), undefined);
  },
};

beforeEach(() => double.reset());

test("a turn that fails leaves the state and keeps its events", async () => {
  await send(script, "write");
  await assert.rejects(send(script, "write and fail"), { code: "asked" });
  assert.equal(state.getText("key"), "value");
  assert.deepEqual(double.events.map((event) => event.kind), ["tried"]);
});

test("an error that is no failure is an exception with its cause", async () => {
  await send(script, "write");
  await assert.rejects(send(script, "write and throw"), (error) => error.code === "exception" && error.message === "TypeError: boom" && error.cause instanceof TypeError);
  assert.equal(state.getText("key"), "value");
  assert.equal(context.inputId, undefined);
});

test("a turn knows its input and its attempt", async () => {
  double.attempt = 2;
  assert.equal((await send(script, "who")).text(), "00000000-0000-7000-8000-000000000001 2");
  assert.equal(context.inputId, undefined);
});

test("answers are text, bytes, JSON or what they say", async () => {
  await send(script, "write");
  assert.deepEqual((await send(script, "json")).json(), { keys: ["key"] });
  assert.equal((await send(script, "bytes")).contentType, "application/octet-stream");
  assert.equal((await send(script, "html")).contentType, "text/html");
  await assert.rejects(send(script, "nothing"), { code: "exception", message: /handle\(\) returned nothing/ });
});

test("a body that is not text is a failure", async () => {
  await assert.rejects(send(script, new Uint8Array([0xff])), { code: "not-text" });
});

test("hooks read the state and cannot write it", async () => {
  await connected(script, "created");
  await disconnecting(script);
  state.set("key", "after");
});

test("keys are listed in the order of their bytes over several pages", () => {
  for (let number = 0; number < 2500; number++) state.set(`n/${String(number).padStart(4, "0")}`, "");
  state.set("o", "");
  const keys = [...state.keys("n/")];
  assert.equal(keys.length, 2500);
  assert.deepEqual(keys, [...keys].sort());
  state.set("é\uffff", "");
  state.set("é😀", "");
  assert.deepEqual([...state.keys("é")], ["é\uffff", "é😀"]);
  assert.equal(state.delete("o"), true);
  assert.equal(state.delete("o"), false);
});

test("keys and kinds outside the rules are refused", () => {
  assert.throws(() => state.set("", ""), { code: "state-invalid-key" });
  assert.throws(() => state.get("é".repeat(257)), { code: "state-invalid-key" });
  state.set("k".repeat(512), "");
  for (const kind of ["", "Upper", "with space", "k".repeat(65)]) assert.throws(() => transcript.emit(kind), { code: "transcript-invalid-kind" });
  assert.throws(() => state.set("k", 3), TypeError);
});

test("excess sizes and counts are refused with the limit", async () => {
  assert.throws(() => transcript.emit("blob", new Uint8Array(256 * 1024 + 1)), { code: "transcript-too-large", message: /262144/ });
  assert.throws(() => state.set("k", new Uint8Array(64 * 1024 * 1024)), { code: "state-too-large" });
  await assert.rejects(send(script, "flood"), { code: "transcript-too-many" });
  assert.equal(double.events.length, 10_000);
});

test("a worker reads its own earlier turns", async () => {
  await send(script, "write");
  await assert.rejects(send(script, "write and fail"));
  const page = transcript.read(0, 100);
  assert.deepEqual(page.entries.map((entry) => entry.kind), ["input", "output", "input", "event", "failure"]);
  assert.deepEqual([page.entries[3].event, page.entries[4].event, page.next], ["tried", undefined, undefined]);
  const part = transcript.read(1, 2);
  assert.deepEqual(part.entries.map((entry) => entry.seq), [2, 3]);
  assert.equal(part.next, 3);
});

test("values of the state are text or JSON where they are asked for so", () => {
  state.setJson("a", { b: 1 });
  assert.deepEqual(state.getJson("a"), { b: 1 });
  state.set("raw", new Uint8Array([0xff]));
  assert.throws(() => state.getText("raw"), { code: "state-not-text" });
  state.set("text", "x");
  assert.throws(() => state.getJson("text"), { code: "state-not-json" });
});

test("config is sorted, and reset forgets everything", () => {
  double.config = { b: "2", a: "1" };
  assert.deepEqual(Object.entries(config.all()), [["a", "1"], ["b", "2"]]);
  data.write("file", "x");
  double.reset();
  assert.equal(config.get("a"), undefined);
  assert.equal(data.exists("file"), false);
});

test("files and folders follow the rules of /data", () => {
  data.write("a/b.txt", "one");
  data.append("/data/a/b.txt", " two");
  assert.equal(data.readText("a/b.txt"), "one two");
  assert.deepEqual(data.list(), ["a/"]);
  assert.deepEqual(data.list("a"), ["b.txt"]);
  assert.throws(() => data.remove("a"), { code: "io", reason: "not-empty" });
  assert.throws(() => data.read("a"), { reason: "is-directory" });
  assert.throws(() => data.read("nope"), { reason: "no-entry", message: "/data/nope: no such file or folder" });
  assert.throws(() => data.read("/etc/passwd"), { reason: "not-permitted" });
  assert.throws(() => data.read("../x"), { reason: "not-permitted" });
  assert.equal(data.remove("a/b.txt"), true);
  assert.equal(data.remove("a/b.txt"), false);
  assert.equal(data.remove("a"), true);
});

test("fetch() is denied, or answered by the test, and follows redirects", async () => {
  await assert.rejects(send(script, "fetch http://h/"), { code: "fetch-denied" });
  const requests = [];
  double.fetch = (request) => {
    requests.push(request);
    return request.url === "http://h/" ? { status: 302, headers: { Location: "https://other/x" } } : { body: "done" };
  };
  assert.equal((await send(script, "fetch http://h/")).text(), "done");
  const [, second] = requests;
  assert.deepEqual([second.method, second.url, second.body.length, second.headers], ["GET", "https://other/x", 0, []]);
  double.fetch = () => ({ status: 307, headers: { location: "/again" } });
  await assert.rejects(send(script, "fetch http://h/"), { code: "fetch-failed", message: /20 redirects/ });
  await assert.rejects(send(script, "fetch nonsense"), { code: "fetch-invalid-request" });
});
