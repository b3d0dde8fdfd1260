import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { FileRefusal, digestOf, kindOf, readComponent } from "../src/wasm/component";
import { OFFERS, compatible, findImport, grantOptions } from "../src/wasm/grants";

const bytesOf = (text: string) => [...new TextEncoder().encode(text)];
function leb(value: number): number[] {
  const out: number[] = [];
  do {
    const byte = value % 128;
    value = Math.floor(value / 128);
    out.push(value > 0 ? byte | 0x80 : byte);
  } while (value > 0);
  return out;
}
const name = (text: string) => [...leb(bytesOf(text).length), ...bytesOf(text)];
const section = (id: number, body: number[]) => [id, ...leb(body.length), ...body];
const list = (items: number[][]) => [...leb(items.length), ...items.flat()];
const MODULE = [0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0];
const COMPONENT = [0x00, 0x61, 0x73, 0x6d, 0x0d, 0, 1, 0];
const component = (...sections: number[][]) => Uint8Array.from([...COMPONENT, ...sections.flat()]);
const module = (...sections: number[][]) => Uint8Array.from([...MODULE, ...sections.flat()]);
const instanceImport = (text: string) => [0x00, ...name(text), 0x05, 0];
const instanceExport = (text: string) => [0x00, ...name(text), 0x05, 0, 0x00];
const functionImport = (from: string, text: string) => [...name(from), ...name(text), 0x00, 0];
const code = [...MODULE, ...section(10, [1, 2, 0, 0x0b])];

const refusal = (bytes: Uint8Array): FileRefusal => {
  try {
    readComponent(bytes);
  } catch (error) {
    if (error instanceof FileRefusal) return error;
    throw error;
  }
  throw new Error("it was taken");
};

test("a component's kind, names and code are read", () => {
  const bytes = component(
    section(0, name("producers")),
    section(1, code),
    section(4, [...COMPONENT, ...section(1, code), ...section(10, list([instanceImport("inner:only/x")]))]),
    section(10, list([instanceImport("wasi:io/poll@0.2.3"), instanceImport("skep:worker/state@0.1.0")])),
    section(11, list([instanceExport("skep:worker/handler@0.1.0")])),
  );
  assert.deepEqual(readComponent(bytes), {
    abi: "component",
    kind: "service",
    imports: ["wasi:io/poll@0.2.3", "skep:worker/state@0.1.0"],
    exports: ["skep:worker/handler@0.1.0"],
    bytes: bytes.length,
    codeBytes: 6,
  });
});

test("every type of import and export is stepped over", () => {
  const types = [
    [0x00, 0x11, 3],
    [0x01, 3],
    [0x02, 0x00, 1],
    [0x02, 0x01, 0x73],
    [0x03, 0x00, 2],
    [0x03, 0x01],
    [0x04, 1],
    [0x05, 0x80, 0x01],
  ];
  const imports = types.map((type, at) => [0x00, ...name(`a${at}`), ...type]);
  const exports = types.map((type, at) => [0x01, ...name(`b${at}`), 0x00, 0x11, 7, 0x01, ...type]);
  const shape = readComponent(component(section(10, list(imports)), section(11, list(exports))));
  assert.deepEqual(
    shape.imports,
    types.map((_, at) => `a${at}`),
  );
  assert.deepEqual(
    shape.exports,
    types.map((_, at) => `b${at}`),
  );
  assert.equal(shape.kind, undefined);
});

test("a preview1 module with _start is a command", () => {
  const bytes = module(
    section(
      2,
      list([
        functionImport("wasi_snapshot_preview1", "fd_write"),
        [...name("wasi_snapshot_preview1"), ...name("m"), 0x02, 0x01, 1, 2],
        [...name("wasi_snapshot_preview1"), ...name("t"), 0x01, 0x63, 0x70, 0x00, 1],
        [...name("wasi_snapshot_preview1"), ...name("g"), 0x03, 0x7f, 0],
      ]),
    ),
    section(
      7,
      list([
        [...name("_start"), 0, 0],
        [...name("memory"), 2, 0],
      ]),
    ),
    section(10, [1, 2, 0, 0x0b]),
  );
  const shape = readComponent(bytes);
  assert.equal(shape.kind, "command");
  assert.equal(shape.abi, "preview1");
  assert.equal(shape.imports[0], "wasi_snapshot_preview1.fd_write");
  assert.deepEqual(shape.exports, ["_start", "memory"]);
  assert.equal(shape.codeBytes, 3);
});

test("kinds follow the exports and their versions, in the runtime's order", () => {
  assert.equal(kindOf(["wasi:cli/run@0.2.3"]), "command");
  assert.equal(kindOf(["wasi:cli/run@0.3.0"]), undefined);
  assert.equal(kindOf(["wasi:http/incoming-handler@0.2.0"]), "http");
  assert.equal(kindOf(["skep:worker/web@0.1.0"]), "http");
  assert.equal(kindOf(["wasi:cli/run@0.2.0", "skep:worker/handler@0.1.0"]), "service");
  assert.equal(kindOf(["wasi:cli/run"]), undefined);
});

test("each foreign format has its own message", () => {
  const cases: [Uint8Array, string, RegExp][] = [
    [new Uint8Array(), "empty", /empty/],
    [Uint8Array.from([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1, 0]), "native", /native program/],
    [Uint8Array.from([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1, 200]), "precompiled", /\.cwasm/],
    [Uint8Array.from(bytesOf("\n (module)")), "text", /text/],
    [Uint8Array.from(bytesOf("#!/bin/sh\n")), "not_wasm", /not WebAssembly/],
    [Uint8Array.from(bytesOf("\0asm")), "malformed", /header/],
    [Uint8Array.from([...MODULE.slice(0, 4), 9, 0, 7, 0]), "malformed", /version/],
    [module(section(2, list([functionImport("wasi_unstable", "fd_write")]))), "other_host", /wasi_unstable/],
    [module(section(2, list([functionImport("env", "emscripten_memcpy_js")]))), "other_host", /Emscripten/],
    [module(section(2, list([functionImport("wbg", "__wbg_log")]))), "other_host", /JavaScript host/],
    [module(section(2, list([functionImport("acme", "tick")]))), "other_host", /acme\.tick/],
  ];
  for (const [bytes, kind, message] of cases) {
    const found = refusal(bytes);
    assert.equal(found.code, kind);
    assert.match(found.message, message);
  }
});

test("lengths that lie are refused", () => {
  for (const bytes of [
    component([10, 0xff, 0xff, 0xff, 0xff, 0x0f]),
    component([10, 0xff, 0xff, 0xff, 0xff, 0x1f]),
    component([10, 0x80, 0x80, 0x80, 0x80, 0x80]),
    component(section(10, [0xff, 0xff, 0xff, 0xff, 0x0f])),
    component(section(10, [1, 0x00, 0xff, 0xff, 0x03, 0x61])),
    component(section(10, [1, 0x00, 1, 0xff, 0x05, 0])),
    component(section(10, [1, 0x07, 1, 0x61, 0x05, 0])),
    component(section(10, [1, 0x00, 1, 0x61, 0x09, 0])),
    component(section(1, [1, 2, 3])),
    component(section(1, [1, 2, 3, 4, 5, 6, 7, 8])),
    component([10]),
    module(section(2, [1, 1, 0x61, 1, 0x62, 0x09])),
  ]) {
    assert.equal(refusal(bytes).code, "malformed");
  }
});

test("nesting of any depth is no danger", () => {
  let nested: number[] = [];
  for (let depth = 0; depth < 2_000; depth += 1) nested = [...section(4, [...COMPONENT, ...nested])];
  assert.equal(readComponent(component(nested)).codeBytes, 0);
});

test("any bytes end in a shape or a refusal, quickly", () => {
  let seed = 11;
  const random = (below: number) => {
    seed = (seed * 1103515245 + 12345) & 0x7fffffff;
    return (seed >> 8) % below;
  };
  const starts = [
    component(
      section(1, code),
      section(10, list([instanceImport("wasi:io/poll@0.2.3")])),
      section(11, list([instanceExport("wasi:cli/run@0.2.3")])),
    ),
    module(
      section(2, list([functionImport("wasi_snapshot_preview1", "fd_write")])),
      section(7, list([[...name("_start"), 0, 0]])),
    ),
  ];
  const began = performance.now();
  for (let round = 0; round < 20_000; round += 1) {
    const bytes = starts[round % 2]!.slice(0, round % 3 === 0 ? 8 + random(40) : undefined);
    for (let edits = random(6); edits > 0; edits -= 1) bytes[random(bytes.length)] = random(256);
    try {
      readComponent(bytes);
    } catch (error) {
      assert.ok(error instanceof FileRefusal, String(error));
    }
  }
  assert.ok(performance.now() - began < 20_000);
});

test("the digest is that of the runtime", async () => {
  assert.equal(
    await digestOf(new Uint8Array()),
    "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
  );
});

test("versions match like in the linker", () => {
  for (const [wanted, status] of [
    ["wasi:io/poll@0.2.0", "offered"],
    ["wasi:io/poll@0.2.99", "offered"],
    ["wasi:io/poll@0.3.0", "other_version"],
    ["wasi:io/poll@1.0.0", "other_version"],
    ["wasi:io/poll@0.2.0-rc.1", "other_version"],
    ["wasi:io/poll", "other_version"],
    ["wasi:config/store@0.2.0-draft", "offered"],
    ["wasi:config/store@0.2.0", "other_version"],
    ["x:y/z@0.2.0", "unknown"],
    ["wasi:http/outgoing-handler@0.2.3", "not_granted"],
    ["wasi:sockets/tcp@0.2.3", "not_granted"],
  ] as const) {
    assert.equal(findImport(wanted, "component").status, status, wanted);
  }
  assert.ok(!compatible("0.0.1", "0.0.2") && compatible("0.0.1", "0.0.1") && compatible("1.2.0", "1.9.0"));
});

test("the grants that a file could use are found", () => {
  const found = grantOptions(
    ["wasi:filesystem/types@0.2.3", "skep:worker/fetch@0.1.0", "acme:x/y@1.0.0"],
    "component",
  );
  assert.ok(found.scopes && found.http);
  assert.deepEqual(
    found.unsupported.map((one) => one.name),
    ["acme:x/y@1.0.0"],
  );
  assert.deepEqual(
    found.denied.map((one) => one.name),
    ["skep:worker/fetch@0.1.0"],
  );
  const module = grantOptions(["wasi_snapshot_preview1.path_open"], "preview1");
  assert.ok(module.scopes && !module.http && module.unsupported.length === 0);
});

test("the table of offers is that of the runtime", () => {
  const source = readFileSync("../sandbox/src/preflight/interfaces.rs", "utf8");
  const versions: Record<string, string> = {};
  for (const [, constant, version] of source.matchAll(/const (\w+): &str = "([^"]+)";/g))
    versions[constant!] = version!;
  // The table of WASI 0.3 follows; a host offers that only if it is told to.
  const table = /pub const OFFERS: &\[Offer\] = &\[\n(.*?)^\];/ms.exec(source)?.[1] ?? "";
  const rows = [...table.matchAll(/^ {4}offer\("([^"]+)", (?:"([^"]+)"|(\w+)), Grant::(\w+)\),$/gm)].map(
    ([, offered, version, constant, need]) => [offered, version ?? versions[constant!], need!.toLowerCase()],
  );
  assert.ok(rows.length > 30);
  assert.deepEqual(rows, OFFERS);
});
