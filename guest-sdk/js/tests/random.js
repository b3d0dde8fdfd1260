/** Returns a generator of repeatable numbers from 0 to below its argument. */
export function makeRandom(seed) {
  let value = seed;
  return (limit) => {
    value = (value * 48271) % 2147483647;
    return value % limit;
  };
}
