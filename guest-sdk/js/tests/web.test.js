// An HTTP worker on the double of the host, and the records that it gets and gives.
import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { Failure, context, state, transcript } from "../src/index.js";
import { FetchGlobals } from "../src/fetch.js";
import { double, respond } from "../src/testing.js";
import { toRaw, toRequest } from "../src/web.js";

const { Response } = FetchGlobals;

/** A worker that does what the path says. */
const site = {
  async fetch(request) {
    assert.equal(context.inputId, undefined);
    const { pathname, searchParams } = new URL(request.url);
    state.set("key", pathname);
    transcript.emit("asked", pathname);
    if (pathname === "/echo") return new globalThis.Response(await request.arrayBuffer(), { status: 201, headers: { "x-a": request.headers.get("x-a") } });
    if (pathname === "/json") return globalThis.Response.json({ ...(await request.json()), q: searchParams.get("q") });
    if (pathname === "/fail") throw new Failure("asked", "as asked");
    if (pathname === "/throw") throw new TypeError("boom");
    if (pathname === "/read") await request.text().then(() => request.text());
    return "no response";
  },
};

beforeEach(() => double.reset());

test("a request and its response are whole", async () => {
  const echoed = await respond(site, "/echo", { method: "POST", body: new Uint8Array([0, 255]), headers: { "x-a": "b" } });
  assert.deepEqual([echoed.status, echoed.headers.get("X-A"), await echoed.bytes()], [201, "b", new Uint8Array([0, 255])]);
  const json = await respond(site, "/json?q=%C3%BC", { method: "POST", body: '{"a":1}' });
  assert.deepEqual([json.headers.get("content-type"), await json.json()], ["application/json", { a: 1, q: "ü" }]);
});

test("a request that fails leaves the state and keeps its events", async () => {
  await respond(site, "/echo", { method: "POST" });
  await assert.rejects(respond(site, "/fail"), { code: "asked" });
  await assert.rejects(respond(site, "/throw"), (error) => error.code === "exception" && error.cause instanceof TypeError);
  await assert.rejects(respond(site, "/"), { code: "exception", message: "TypeError: fetch() returned a string: return a Response" });
  await assert.rejects(respond(site, "/read", { method: "POST", body: "x" }), /read already/);
  assert.equal(state.getText("key"), "/echo");
  assert.equal(double.events.length, 5);
});

function raw(changes) {
  return { method: "GET", scheme: "https", authority: "a.example:8443", pathWithQuery: "/x?y", headers: [], body: new Uint8Array(), ...changes };
}

test("the host's record becomes a request", async () => {
  const bytes = (text) => new TextEncoder().encode(text);
  const headers = [["x-a", bytes("ü")], ["x-a", new Uint8Array([0xe9])], ["cookie", bytes("a=b")]];
  const request = toRequest(raw({ headers, body: bytes("body of a GET") }));
  assert.equal(request.url, "https://a.example:8443/x?y");
  assert.equal(request.method, "GET");
  assert.equal(request.headers.get("x-a"), "ü, é");
  assert.equal(request.headers.get("host"), "a.example:8443");
  assert.equal(request.headers.has("content-type"), false);
  assert.equal(await request.text(), "body of a GET");
  assert.equal(toRequest(raw({ method: "OPTIONS", pathWithQuery: "*" })).url, "https://a.example:8443/*");
  assert.equal(await toRequest(raw({})).text(), "");
});

test("a response becomes the host's record", async () => {
  const headers = new FetchGlobals.Headers([["set-cookie", "a=1"], ["set-cookie", "b=2"], ["x", "ü"]]);
  const made = await toRaw(new Response("text", { status: 404, headers }));
  const decode = (value) => new TextDecoder().decode(value);
  assert.deepEqual(made.headers.map(([name, value]) => [name, decode(value)]), [
    ["content-type", "text/plain;charset=UTF-8"],
    ["set-cookie", "a=1"],
    ["set-cookie", "b=2"],
    ["x", "ü"],
  ]);
  assert.deepEqual([made.status, decode(made.body)], [404, "text"]);
  const moved = await toRaw(Response.redirect("https://b.example/"));
  assert.deepEqual([moved.status, moved.headers.map(([name]) => name)], [302, ["location"]]);
  assert.throws(() => Response.redirect("/", 200), RangeError);
  assert.throws(() => new FetchGlobals.Headers({ a: "1\r\nb: 2" }), TypeError);
  await assert.rejects(toRaw(undefined), { message: "fetch() returned nothing: return a Response" });
});
