// Times as people read them: relative, local or UTC. A copied time is always RFC 3339.

/** How times are shown. */
export type TimeStyle = "relative" | "local" | "utc";

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

const two = (value: number): string => String(value).padStart(2, "0");

/** Parses an RFC 3339 time into milliseconds; NaN if it is none. */
export function parseTime(text: string): number {
  return Date.parse(text);
}

/** Writes a time as RFC 3339 in UTC with milliseconds, as the API does. */
export function rfc3339(ms: number): string {
  return Number.isFinite(ms) && Math.abs(ms) <= 8.64e15 ? new Date(ms).toISOString() : "";
}

/** Writes the distance of a time from now: `now`, `12 s ago`, `3 min ago`, `in 2 h`, `5 d ago`. */
export function relative(ms: number, now: number): string {
  if (!Number.isFinite(ms)) return "";
  const distance = now - ms;
  const size = Math.abs(distance);
  if (size < SECOND) return "now";
  const text = duration(size, 1);
  return distance > 0 ? `${text} ago` : `in ${text}`;
}

/** Returns the milliseconds after which `relative` of this distance changes. */
export function relativeLife(distance: number): number {
  const size = Math.abs(distance);
  const unit = size < MINUTE ? SECOND : size < HOUR ? MINUTE : size < DAY ? HOUR : DAY;
  return unit - (size % unit) + 1;
}

/** Writes a time in the local zone or in UTC: `2026-11-30 06:34:00.123`. */
export function absolute(ms: number, style: "local" | "utc", parts: "all" | "time" = "all"): string {
  if (!Number.isFinite(ms) || Math.abs(ms) > 8.64e15) return "";
  const date = new Date(ms);
  const utc = style === "utc";
  const hours = utc ? date.getUTCHours() : date.getHours();
  const minutes = utc ? date.getUTCMinutes() : date.getMinutes();
  const seconds = utc ? date.getUTCSeconds() : date.getSeconds();
  const millis = String(utc ? date.getUTCMilliseconds() : date.getMilliseconds()).padStart(3, "0");
  const time = `${two(hours)}:${two(minutes)}:${two(seconds)}.${millis}`;
  if (parts === "time") return time;
  const year = utc ? date.getUTCFullYear() : date.getFullYear();
  const month = (utc ? date.getUTCMonth() : date.getMonth()) + 1;
  const day = utc ? date.getUTCDate() : date.getDate();
  return `${String(year).padStart(4, "0")}-${two(month)}-${two(day)} ${time}${utc ? "Z" : ""}`;
}

/** Writes the local zone's offset: `UTC+02:00`. */
export function zone(ms: number): string {
  const offset = -new Date(ms).getTimezoneOffset();
  const size = Math.abs(offset);
  return `UTC${offset < 0 ? "−" : "+"}${two(Math.floor(size / 60))}:${two(size % 60)}`;
}

/** Writes a duration with its largest units: `0.4 ms`, `35 ms`, `2.61 s`, `3 min 20 s`. */
export function duration(ms: number, units: 1 | 2 = 2): string {
  if (!Number.isFinite(ms)) return "";
  if (ms < 0) return `−${duration(-ms, units)}`;
  if (ms === 0) return "0 ms";
  if (ms < 1) return `${Number(ms.toFixed(ms < 0.1 ? 3 : 1))} ms`;
  if (ms < SECOND) return `${Math.round(ms)} ms`;
  if (ms < MINUTE) {
    return units === 1
      ? `${Math.floor(ms / SECOND)} s`
      : `${Number((ms / SECOND).toFixed(ms < 10 * SECOND ? 2 : 1))} s`;
  }
  const scale: [number, string][] = [
    [DAY, "d"],
    [HOUR, "h"],
    [MINUTE, "min"],
    [SECOND, "s"],
  ];
  const first = scale.findIndex(([size]) => ms >= size);
  let left = ms;
  const parts: string[] = [];
  for (const [size, word] of scale.slice(first, first + units)) {
    const count = Math.floor(left / size);
    left -= count * size;
    if (count > 0) parts.push(`${count} ${word}`);
  }
  return parts.join(" ");
}
