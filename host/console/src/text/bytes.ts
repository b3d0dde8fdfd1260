// Sizes and counts as people read and write them.

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"] as const;

/** Writes a count with a comma in each group of three digits. */
export function grouped(value: number | bigint): string {
  const text = String(value);
  if (!/^-?[0-9]+$/.test(text)) return text;
  return text.replace(/\B(?=([0-9]{3})+$)/g, ",");
}

/** Writes a size with three significant digits: `0 B`, `1.5 KiB`, `256 MiB`. */
export function bytes(value: number): string {
  if (!Number.isFinite(value)) return "";
  let size = value;
  let unit = 0;
  // 1023.5 and more would be shown as 1024 of the smaller unit.
  while (Math.abs(size) >= 1023.5 && unit < UNITS.length - 1) {
    size /= 1024;
    unit += 1;
  }
  const digits = unit === 0 || Math.abs(size) >= 100 ? 0 : Math.abs(size) >= 10 ? 1 : 2;
  return `${Number(size.toFixed(digits))} ${UNITS[unit]}`;
}

/** Writes a size exactly: `1,536 B`, or in whole larger units, `256 MiB`. */
export function exactBytes(value: number): string {
  let size = value;
  let unit = 0;
  while (size >= 1024 && size % 1024 === 0 && unit < UNITS.length - 1) {
    size /= 1024;
    unit += 1;
  }
  return `${grouped(size)} ${UNITS[unit]}`;
}

/** Writes a large count shortly: `950`, `12.3k`, `4.5M`. */
export function short(value: number): string {
  for (const [size, word] of [
    [1e9, "G"],
    [1e6, "M"],
    [1e3, "k"],
  ] as const) {
    if (value >= size) return `${Number((value / size).toFixed(value / size >= 100 ? 0 : 1))}${word}`;
  }
  return String(value);
}

/** The unit of a limit, in the words of the API. */
export type LimitUnit = "bytes" | "milliseconds" | "count";

/** Writes a limit's value; null is off. */
export function limitValue(value: number | null, unit: LimitUnit): string {
  if (value === null) return "off";
  if (unit === "bytes") return exactBytes(value);
  if (unit === "count") return grouped(value);
  return value % 1000 === 0 ? `${grouped(value / 1000)} s` : `${grouped(value)} ms`;
}

const SIZES: Record<string, number> = {
  "": 1,
  b: 1,
  k: 1024,
  kb: 1024,
  kib: 1024,
  m: 1024 ** 2,
  mb: 1024 ** 2,
  mib: 1024 ** 2,
  g: 1024 ** 3,
  gb: 1024 ** 3,
  gib: 1024 ** 3,
  t: 1024 ** 4,
  tib: 1024 ** 4,
};
const TIMES: Record<string, number> = {
  "": 1,
  ms: 1,
  s: 1000,
  m: 60_000,
  min: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

/** Reads a limit as a person types it: `64MiB`, `1.5 GiB`, `30s`, `65,536`. Undefined if it is none,
 * or is too large to be exact. */
export function parseLimit(text: string, unit: LimitUnit): number | undefined {
  const match = /^\s*([0-9][0-9,_]*)(\.[0-9]+)?\s*([a-zA-Z]*)\s*$/.exec(text);
  if (match === null) return undefined;
  const words = unit === "bytes" ? SIZES : unit === "milliseconds" ? TIMES : { "": 1 };
  const factor = (words as Record<string, number>)[match[3]!.toLowerCase()];
  if (factor === undefined) return undefined;
  const value = Number(match[1]!.replace(/[,_]/g, "") + (match[2] ?? "")) * factor;
  return Number.isSafeInteger(value) ? value : undefined;
}
