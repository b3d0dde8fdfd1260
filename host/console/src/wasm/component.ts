// A WebAssembly file as its headers describe it: kind, imports, exports and sizes. A page reads a
// dropped file with this before any of it is uploaded. The bytes are untrusted: each length is
// compared with what is there, nothing recurses, and the cost is in proportion to the file's size.
// The runtime decides; it also validates the code, which this reader skips.

import { compatible, splitName } from "./grants";

/** The kind of a worker. */
export type Kind = "service" | "command" | "http";

/** The description of a file. */
export interface Shape {
  readonly abi: "component" | "preview1";
  /** Undefined if it exports nothing that Skep calls. */
  readonly kind: Kind | undefined;
  /** Interfaces with versions, in the file's order; of a module `wasi_snapshot_preview1.fd_write`. */
  readonly imports: readonly string[];
  readonly exports: readonly string[];
  readonly bytes: number;
  /** Size of the code sections, of nested modules too. */
  readonly codeBytes: number;
}

/** The reason that a file is none that Skep can run. Each message says what to do. */
export class FileRefusal extends Error {
  constructor(
    readonly code: "empty" | "precompiled" | "native" | "text" | "not_wasm" | "malformed" | "other_host",
    message: string,
  ) {
    super(message);
    this.name = "FileRefusal";
  }
}

/** Names of one file at most. A real component has some dozens; the runtime refuses such a file for
 * its own reasons, and the page must not hang before that. */
const MOST_NAMES = 100_000;

const PREVIEW1 = "wasi_snapshot_preview1";

/** Describes a file. Throws a `FileRefusal` for one that can be neither run nor described. */
export function readComponent(bytes: Uint8Array): Shape {
  refuseOtherFormats(bytes);
  const version = bytes[4]! | (bytes[5]! << 8);
  const layer = bytes[6]! | (bytes[7]! << 8);
  const found: Found = { imports: [], exports: [], codeBytes: 0, names: 0 };
  if (layer === 1 && version === 0x0d) {
    walk(bytes, true, found);
    const exports = found.exports;
    return {
      abi: "component",
      kind: kindOf(exports),
      imports: found.imports.map(([, name]) => name),
      exports,
      bytes: bytes.length,
      codeBytes: found.codeBytes,
    };
  }
  if (layer === 0 && version === 1) {
    walk(bytes, false, found);
    refuseOtherHosts(found.imports);
    return {
      abi: "preview1",
      kind: found.exports.includes("_start") ? "command" : undefined,
      imports: found.imports.map(([module, name]) => `${module}.${name}`),
      exports: found.exports,
      bytes: bytes.length,
      codeBytes: found.codeBytes,
    };
  }
  throw malformed(4, "it is of a version of WebAssembly that does not exist");
}

/** Returns the digest that names the file, or undefined where the browser has no hashing: on a page
 * that came over plain HTTP from another machine. */
export async function digestOf(bytes: Uint8Array): Promise<string | undefined> {
  if (globalThis.crypto?.subtle === undefined) return undefined;
  const hash = await crypto.subtle.digest("SHA-256", bytes as Uint8Array<ArrayBuffer>);
  let hex = "";
  for (const byte of new Uint8Array(hash)) hex += byte.toString(16).padStart(2, "0");
  return `sha256:${hex}`;
}

/** Returns the kind that a component's exports make it, in the runtime's order. */
export function kindOf(exports: readonly string[]): Kind | undefined {
  const called: [string, string, Kind][] = [
    ["skep:worker/handler", "0.1.0", "service"],
    ["wasi:cli/run", "0.2.12", "command"],
    ["wasi:http/incoming-handler", "0.2.12", "http"],
    ["wasi:http/handler", "0.3.0", "http"],
    ["skep:worker/web", "0.1.0", "http"],
  ];
  for (const [name, version, kind] of called) {
    for (const text of exports) {
      const parsed = splitName(text);
      if (parsed.name !== name || parsed.version === undefined) continue;
      if (compatible(parsed.version, version)) return kind;
    }
  }
  return undefined;
}

function refuseOtherFormats(bytes: Uint8Array): void {
  if (bytes.length === 0) throw new FileRefusal("empty", "the file is empty");
  const starts = (...prefix: number[]) => prefix.every((byte, at) => bytes[at] === byte);
  if (starts(0x7f, 0x45, 0x4c, 0x46)) {
    // The ELF OS/ABI number of wasmtime's files.
    throw bytes[7] === 200
      ? new FileRefusal(
          "precompiled",
          "this is native code that wasmtime compiled (.cwasm); Skep loads only code that it compiled itself: drop the original .wasm",
        )
      : new FileRefusal(
          "native",
          "this is a native program (ELF), not WebAssembly: build it for wasm32-wasip2",
        );
  }
  if (starts(0x00, 0x61, 0x73, 0x6d)) {
    if (bytes.length < 8) throw malformed(4, "it ends within its header");
    return;
  }
  let head = "";
  for (const byte of bytes.subarray(0, 4096)) head += String.fromCharCode(byte);
  if (/^\s*(\(module|\(component|;;|\(;)/.test(head)) {
    throw new FileRefusal(
      "text",
      "this is WebAssembly text: convert it to a binary first (wasm-tools parse)",
    );
  }
  throw new FileRefusal("not_wasm", "this is not WebAssembly: it does not begin with \\0asm");
}

function refuseOtherHosts(imports: readonly (readonly [string, string])[]): void {
  const others = imports.filter(([module]) => module !== PREVIEW1);
  const first = others[0];
  if (first === undefined) return;
  const name = `${first[0]}.${first[1]}`;
  if (others.some(([module]) => module === "wasi_unstable")) {
    throw new FileRefusal(
      "other_host",
      "this module was built for wasi_unstable, the draft before WASI preview1: rebuild it with a current toolchain for wasm32-wasip1 or wasm32-wasip2",
    );
  }
  const isEmscripten = ([module, name]: readonly [string, string]) =>
    module === "env" && /^(_?emscripten_|__syscall_|invoke_|abort$|__cxa_throw$)/.test(name);
  if (others.some(isEmscripten)) {
    throw new FileRefusal(
      "other_host",
      `this module was built by Emscripten for a JavaScript host (it imports ${name}): rebuild it with a WASI toolchain, or with -sSTANDALONE_WASM`,
    );
  }
  const isJavaScript = ([module, name]: readonly [string, string]) =>
    module === "gojs" ||
    module === "go" ||
    module === "wbg" ||
    module.startsWith("./") ||
    name.startsWith("__wbg");
  throw new FileRefusal(
    "other_host",
    others.some(isJavaScript)
      ? `this module was built for a JavaScript host (it imports ${name}): rebuild it for wasm32-wasip2`
      : `this module imports functions of another host (${name}): Skep offers ${PREVIEW1} to modules`,
  );
}

interface Found {
  imports: [string, string][];
  exports: string[];
  codeBytes: number;
  names: number;
}

function malformed(at: number, why: string): FileRefusal {
  return new FileRefusal("malformed", `this is not valid WebAssembly: ${why} (at byte ${at})`);
}

const NESTED_MODULE = 1;
const NESTED_COMPONENT = 4;
const COMPONENT_IMPORTS = 10;
const COMPONENT_EXPORTS = 11;
const MODULE_IMPORTS = 2;
const MODULE_EXPORTS = 7;
const MODULE_CODE = 10;

/** Reads the sections of a file and of all that it nests. */
function walk(bytes: Uint8Array, isComponent: boolean, found: Found): void {
  // Ranges yet to read. A recursion would end at a depth of thousands, which some bytes describe.
  const left: { from: number; to: number; isComponent: boolean; isOutermost: boolean }[] = [
    { from: 8, to: bytes.length, isComponent, isOutermost: true },
  ];
  for (let range = left.pop(); range !== undefined; range = left.pop()) {
    const cursor = new Cursor(bytes, range.from, range.to);
    while (!cursor.isAtEnd) {
      const id = cursor.byte();
      const size = cursor.u32();
      const section = cursor.part(size);
      if (range.isComponent) {
        if (id === NESTED_MODULE || id === NESTED_COMPONENT) {
          const at = section.header();
          left.push({ from: at, to: section.end, isComponent: id === NESTED_COMPONENT, isOutermost: false });
        } else if (range.isOutermost && id === COMPONENT_IMPORTS) componentImports(section, found);
        else if (range.isOutermost && id === COMPONENT_EXPORTS) componentExports(section, found);
      } else {
        if (id === MODULE_CODE) found.codeBytes += functions(section);
        else if (range.isOutermost && id === MODULE_IMPORTS) moduleImports(section, found);
        else if (range.isOutermost && id === MODULE_EXPORTS) moduleExports(section, found);
      }
    }
  }
}

/** Returns the bytes of a code section's functions, without their number. */
function functions(cursor: Cursor): number {
  cursor.u32();
  return cursor.left;
}

function count(cursor: Cursor, found: Found): number {
  const items = cursor.u32();
  // Each item is at least a byte, so a count beyond the section's bytes is a lie.
  if (items > cursor.left)
    throw malformed(cursor.at, `it says ${items} items where there are ${cursor.left} bytes`);
  found.names += items;
  if (found.names > MOST_NAMES)
    throw malformed(cursor.at, `it has more than ${MOST_NAMES} imports and exports`);
  return items;
}

function componentImports(cursor: Cursor, found: Found): void {
  for (let items = count(cursor, found); items > 0; items -= 1) {
    const name = cursor.externName();
    cursor.externType();
    found.imports.push(["", name]);
  }
}

function componentExports(cursor: Cursor, found: Found): void {
  for (let items = count(cursor, found); items > 0; items -= 1) {
    const name = cursor.externName();
    if (cursor.byte() === 0) cursor.byte();
    cursor.u32();
    const hasType = cursor.byte();
    if (hasType > 1) throw malformed(cursor.at - 1, "an export's type is neither there nor absent");
    if (hasType === 1) cursor.externType();
    found.exports.push(name);
  }
}

function moduleImports(cursor: Cursor, found: Found): void {
  for (let items = count(cursor, found); items > 0; items -= 1) {
    const module = cursor.name();
    const name = cursor.name();
    cursor.moduleType();
    found.imports.push([module, name]);
  }
}

function moduleExports(cursor: Cursor, found: Found): void {
  for (let items = count(cursor, found); items > 0; items -= 1) {
    const name = cursor.name();
    cursor.byte();
    cursor.u32();
    found.exports.push(name);
  }
}

const TEXT = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** A place in a range of bytes. Nothing reads past the range's end. */
class Cursor {
  constructor(
    private readonly bytes: Uint8Array,
    public at: number,
    readonly end: number,
  ) {}

  get isAtEnd(): boolean {
    return this.at >= this.end;
  }

  get left(): number {
    return this.end - this.at;
  }

  byte(): number {
    if (this.at >= this.end) throw malformed(this.at, "it ends too early");
    const byte = this.bytes[this.at]!;
    this.at += 1;
    return byte;
  }

  /** Reads an unsigned LEB128 number of at most 32 bits. */
  u32(): number {
    let value = 0;
    for (let place = 0; place < 5; place += 1) {
      const byte = this.byte();
      if (place === 4 && byte > 0x0f) throw malformed(this.at - 1, "a number has more than 32 bits");
      value += (byte & 0x7f) * 2 ** (7 * place);
      if (byte < 0x80) return value;
    }
    throw malformed(this.at, "a number has more than 32 bits");
  }

  /** Skips a LEB128 number of at most `most` bytes. */
  skipNumber(most: number): void {
    for (let place = 0; place < most; place += 1) if (this.byte() < 0x80) return;
    throw malformed(this.at, `a number has more than ${most} bytes`);
  }

  /** Takes the next bytes as a range of its own. */
  part(size: number): Cursor {
    if (size > this.left)
      throw malformed(this.at, `a section says ${size} bytes where there are ${this.left}`);
    const part = new Cursor(this.bytes, this.at, this.at + size);
    this.at += size;
    return part;
  }

  /** Skips the header of a nested file and returns the place after it. */
  header(): number {
    if (this.left < 8) throw malformed(this.at, "a nested file ends within its header");
    const isWasm = [0x00, 0x61, 0x73, 0x6d].every((byte, at) => this.bytes[this.at + at] === byte);
    if (!isWasm) throw malformed(this.at, "a nested file is not WebAssembly");
    return this.at + 8;
  }

  name(): string {
    const size = this.u32();
    if (size > this.left) throw malformed(this.at, `a name says ${size} bytes where there are ${this.left}`);
    const part = this.bytes.subarray(this.at, this.at + size);
    this.at += size;
    try {
      return TEXT.decode(part);
    } catch {
      throw malformed(this.at - size, "a name is not UTF-8");
    }
  }

  /** Reads the name of a component's import or export. */
  externName(): string {
    const form = this.byte();
    // 0 and 1 are a name; 2 adds the rest of its version.
    if (form > 2) throw malformed(this.at - 1, "a name has an unknown form");
    const name = this.name();
    if (form < 2) return name;
    const suffix = this.name();
    return name + suffix;
  }

  /** Skips the type of a component's import or export. */
  externType(): void {
    const kind = this.byte();
    switch (kind) {
      case 0x00: // A core module.
        this.byte();
        this.u32();
        return;
      case 0x01: // A function.
      case 0x04: // A component.
      case 0x05: // An instance.
        this.u32();
        return;
      case 0x02: // A value.
        if (this.byte() === 0) this.u32();
        else this.skipNumber(5);
        return;
      case 0x03: // A type.
        if (this.byte() === 0) this.u32();
        return;
      default:
        throw malformed(this.at - 1, "an import or export has an unknown type");
    }
  }

  /** Skips the type of a module's import. */
  moduleType(): void {
    const kind = this.byte();
    switch (kind) {
      case 0x00: // A function.
      case 0x20: // A function with an exact type.
        this.u32();
        return;
      case 0x01: // A table.
        this.referenceType();
        this.bounds();
        return;
      case 0x02: // A memory.
        this.bounds();
        return;
      case 0x03: // A global.
        this.referenceType();
        this.byte();
        return;
      case 0x04: // A tag.
        this.byte();
        this.u32();
        return;
      default:
        throw malformed(this.at - 1, "an import has an unknown type");
    }
  }

  private referenceType(): void {
    const form = this.byte();
    // `ref` and `ref null` are followed by what they refer to.
    if (form === 0x63 || form === 0x64) this.skipNumber(5);
  }

  private bounds(): void {
    const flags = this.byte();
    this.skipNumber(10);
    if ((flags & 0x01) !== 0) this.skipNumber(10);
    if ((flags & 0x08) !== 0) this.skipNumber(5);
  }
}
