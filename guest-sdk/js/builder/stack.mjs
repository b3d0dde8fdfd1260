// The engine's stack limit. QuickJS built for WASI has none, so that a recursion without end would
// end the instance by a trap of the host. Its check is compiled in, though: it compares the stack
// pointer with a number in its own memory, which is 0. This module sets that number in a
// component's snapshot, and such a recursion is an ordinary `RangeError`.

const MODULE_SECTION = 1;
const COMPONENT_SECTION = 4;
const DATA_SECTION = 11;
const I32_CONST = 0x41;
const END = 0x0b;
const HEADER = 8;
const STACK_END = 0x10_0000;

/** Sets the limit: the lowest address that the engine's stack may reach. Returns the new bytes. */
export function limitStack(component, limit) {
  const limited = limitComponent(component, limit);
  if (!limited) throw new Error("the engine's stack limit was not found in the component: this version of componentize-qjs is not known");
  return limited;
}

/** Sets the limit in the first module of a component that has it, or returns `undefined`. */
function limitComponent(bytes, limit) {
  for (const { id, header, start, end } of sectionsOf(bytes)) {
    const limitInner = { [MODULE_SECTION]: limitModule, [COMPONENT_SECTION]: limitComponent }[id];
    const inner = limitInner?.(bytes.subarray(start, end), limit);
    if (inner) return splice(bytes, header, end, framed(id, inner));
  }
  return undefined;
}

function limitModule(bytes, limit) {
  const data = sectionsOf(bytes).find(({ id }) => id === DATA_SECTION);
  const address = data && findLimit(memoryOf(bytes, data));
  if (address === undefined) return undefined;
  return splice(bytes, data.header, data.end, framed(DATA_SECTION, withSegment(bytes, data, address, limit)));
}

/** Lists the sections of a module or component, with their places. */
function sectionsOf(bytes) {
  const sections = [];
  for (let at = HEADER; at < bytes.length; ) {
    const size = readUnsigned(bytes, at + 1);
    sections.push({ id: bytes[at], header: at, start: size.next, end: size.next + size.value });
    at = size.next + size.value;
  }
  return sections;
}

/** Returns the memory that active data segments with constant offsets make, in words. */
function memoryOf(bytes, { start }) {
  const count = readUnsigned(bytes, start);
  const segments = [];
  let at = count.next;
  for (let index = 0; index < count.value; index++) {
    if (bytes[at] !== 0 || bytes[at + 1] !== I32_CONST) return new Uint32Array();
    const offset = readUnsigned(bytes, at + 2);
    const size = readUnsigned(bytes, offset.next + 1);
    segments.push({ offset: offset.value, from: size.next, size: size.value });
    at = size.next + size.value;
  }
  const last = segments.reduce((end, { offset, size }) => Math.max(end, offset + size), 0);
  const memory = new Uint8Array(Math.ceil(last / 4) * 4);
  for (const { offset, from, size } of segments) memory.set(bytes.subarray(from, from + size), offset);
  return new Uint32Array(memory.buffer);
}

/**
 * Returns the address of `stack_limit` in the engine's runtime. Before it are two empty lists that
 * point at themselves, the collector's phase (none) and threshold, `stack_size` (0) and
 * `stack_top`; after it is `current_exception`, which is the tag 4 of "no value".
 */
function findLimit(words) {
  const found = [];
  for (let at = 0; at + 11 <= words.length; at++) {
    const address = at * 4;
    const lists = words[at] === address && words[at + 1] === address && words[at + 2] === address + 8 && words[at + 3] === address + 8;
    if (!lists || words[at + 4] !== 0 || words[at + 6] !== 0 || words[at + 8] !== 0) continue;
    const top = words[at + 7];
    if (top > 0 && top < STACK_END && words[at + 9] === 0 && words[at + 10] === 4) found.push(address + 32);
  }
  return found.length === 1 ? found[0] : undefined;
}

/** Returns the data section's content with one more segment. */
function withSegment(bytes, { start, end }, address, value) {
  const count = readUnsigned(bytes, start);
  const word = new Uint8Array(new Uint32Array([value]).buffer);
  return concat(unsigned(count.value + 1), bytes.subarray(count.next, end), [0, I32_CONST], signed(address), [END], unsigned(word.length), word);
}

function framed(id, content) {
  return concat([id], unsigned(content.length), content);
}

function splice(bytes, start, end, middle) {
  return concat(bytes.subarray(0, start), middle, bytes.subarray(end));
}

function concat(...parts) {
  return Buffer.concat(parts.map((part) => Buffer.from(part)));
}

function readUnsigned(bytes, at) {
  let value = 0;
  for (let shift = 0; ; shift += 7) {
    const byte = bytes[at++];
    value += (byte & 0x7f) * 2 ** shift;
    if (byte < 0x80) return { value, next: at };
  }
}

function unsigned(value) {
  const bytes = [];
  do {
    const rest = Math.floor(value / 128);
    bytes.push((value % 128) | (rest > 0 ? 0x80 : 0));
    value = rest;
  } while (value > 0);
  return bytes;
}

/** Encodes a positive number as a signed one, whose last byte has a clear sign bit. */
function signed(value) {
  const bytes = unsigned(value);
  const last = bytes.at(-1);
  if (last < 0x40) return bytes;
  return [...bytes.slice(0, -1), last | 0x80, 0];
}
