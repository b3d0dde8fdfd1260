// The arguments of a verb.

/** Splits text at single spaces into `count` arguments; the last takes the rest. */
export function split(text, count) {
  const parts = text.split(" ");
  return [...parts.slice(0, count - 1), parts.slice(count - 1).join(" ")];
}
