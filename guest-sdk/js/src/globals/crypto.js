// The parts of Web Crypto that need nothing but random bytes, and `Math.random`.

const INTEGERS = ["Int8Array", "Uint8Array", "Uint8ClampedArray", "Int16Array", "Uint16Array", "Int32Array", "Uint32Array", "BigInt64Array", "BigUint64Array"];
const MOST = 65536;

/** Makes a `crypto` over a source of random bytes. */
export function makeCrypto(randomBytes) {
  return {
    getRandomValues(array) {
      if (!INTEGERS.includes(Object.prototype.toString.call(array).slice(8, -1))) throw new DOMException("The data argument must be an integer-type TypedArray", "TypeMismatchError");
      if (array.byteLength > MOST) throw new DOMException(`The requested length exceeds ${MOST} bytes`, "QuotaExceededError");
      new Uint8Array(array.buffer, array.byteOffset, array.byteLength).set(randomBytes(array.byteLength));
      return array;
    },

    randomUUID() {
      const bytes = randomBytes(16);
      bytes[6] = (bytes[6] & 0x0f) | 0x40;
      bytes[8] = (bytes[8] & 0x3f) | 0x80;
      const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
      return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
    },
  };
}

/** Returns a number of 53 random bits from 0 to below 1. */
export function randomFloat(randomBytes) {
  const bytes = randomBytes(7);
  let value = bytes[0] & 0x1f;
  for (let index = 1; index < 7; index++) value = value * 256 + bytes[index];
  return value / 2 ** 53;
}
