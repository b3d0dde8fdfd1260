// The audit page's filters: in the fragment, because people type them, and as the API's query.

export const FILTERS = ["actor", "action", "runtime_id", "worker_id", "outcome", "since", "until"] as const;
export type FilterName = (typeof FILTERS)[number];
export type Filters = Partial<Record<FilterName, string>>;

/** Picks the filters from the values after `#`. Other names and empty values are dropped. */
export function readFilters(values: Readonly<Record<string, string>>): Filters {
  const filters: Filters = {};
  for (const name of FILTERS) {
    const value = values[name]?.trim();
    if (value) filters[name] = value;
  }
  return filters;
}

/**
 * Turns a time that a person typed into RFC 3339: `2026-11-30`, `2026-11-30 14:05` (in the shown
 * time zone), a whole timestamp, or `2h`, `3d` before now. Null if it is none of these.
 */
export function typedTime(text: string, utc: boolean, now: number): string | null {
  const trimmed = text.trim();
  const ago = /^(\d{1,6})\s*(m|min|h|d)$/.exec(trimmed);
  if (ago) {
    const unit = { m: 60_000, min: 60_000, h: 3_600_000, d: 86_400_000 }[ago[2] as "m" | "min" | "h" | "d"];
    return iso(now - Number(ago[1]) * unit);
  }
  const day = /^(\d{4})-(\d\d)-(\d\d)(?:[ T](\d\d):(\d\d)(?::(\d\d))?)?$/.exec(trimmed);
  if (day) {
    const [year = 0, month = 1, date = 1, hour = 0, minute = 0, second = 0] = day
      .slice(1)
      .map((part) => Number(part || 0));
    const time = utc
      ? Date.UTC(year, month - 1, date, hour, minute, second)
      : new Date(year, month - 1, date, hour, minute, second).getTime();
    return iso(time);
  }
  if (!/^\d{4}-\d\d-\d\dT.*(Z|[+-]\d\d:\d\d)$/.test(trimmed)) return null;
  return iso(Date.parse(trimmed));
}

function iso(time: number): string | null {
  return Number.isFinite(time) && time >= 0 && time < 8.64e15 ? new Date(time).toISOString() : null;
}

export interface ValueChange {
  mark: "removed" | "added" | "same";
  text: string;
}

/** Compares two JSON values line by line: `path: value`, sorted by path. */
export function diffValues(before: unknown, after: unknown): ValueChange[] {
  const was = new Map(flatten(before));
  const is = new Map(flatten(after));
  const paths = [...new Set([...was.keys(), ...is.keys()])].sort();
  const line = (path: string, value: string) => (path === "" ? value : `${path}: ${value}`);
  return paths.flatMap((path): ValueChange[] => {
    const old = was.get(path);
    const now = is.get(path);
    if (old !== undefined && old === now) return [{ mark: "same", text: line(path, old) }];
    return [
      ...(old === undefined ? [] : [{ mark: "removed" as const, text: line(path, old) }]),
      ...(now === undefined ? [] : [{ mark: "added" as const, text: line(path, now) }]),
    ];
  });
}

const DEEPEST = 16;

function flatten(value: unknown, path = "", depth = 0): [string, string][] {
  if (value === undefined || value === null) return [];
  if (typeof value !== "object" || depth > DEEPEST) {
    return [[path, typeof value === "string" ? value : JSON.stringify(value)]];
  }
  const entries = Array.isArray(value)
    ? value.map((item, place): [string, unknown] => [String(place), item])
    : Object.entries(value);
  return entries.flatMap(([name, item]) =>
    flatten(item, path === "" ? name : `${path}.${name}`, depth + 1),
  );
}
