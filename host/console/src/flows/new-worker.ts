// A worker to be created, as a person types it: names, directories, requests and configuration as
// text, checked before anything is sent. The host checks again.

import {
  type Grants,
  type HttpGrant,
  type Rights,
  type ScopeGrant,
  parseHttpGrant,
  parseScopeGrant,
} from "../grants/grants";

export interface ScopeChoice {
  name: string;
  /** The most that the caller may grant; undefined if it is not known. */
  most?: Rights;
  chosen: boolean;
  guest: string;
  rights: Rights;
}

export interface Draft {
  name: string;
  scopes: ScopeChoice[];
  /** One `NAME::PATH:rights` per line, where the names on offer are not known. */
  scopesText: string;
  /** One HTTP grant per line. */
  http: string;
  secrets: { name: string; chosen: boolean }[];
  /** One name per line, where the names on offer are not known. */
  secretsText: string;
  /** One `key=value` per line. */
  config: string;
}

export const EMPTY: Draft = {
  name: "",
  scopes: [],
  scopesText: "",
  http: "",
  secrets: [],
  secretsText: "",
  config: "",
};

/** A thing to correct, with the field that it belongs to. */
export interface Fault {
  field: "name" | "scopes" | "http" | "secrets" | "config";
  text: string;
}

/** A name for a worker from a file's name: without folder and ending, 128 characters at most. */
export function nameOf(file: string): string {
  const name = file
    .replace(/^.*[/\\]/, "")
    .replace(/\.(component\.)?wasm$/i, "")
    // Names contain no control or direction-changing characters.
    .replace(/[\p{Cc}\p{Cf}]/gu, "")
    .trim();
  return [...name].slice(0, 128).join("");
}

/** Reads the grants of a draft, or the first fault. */
export function grantsOf(draft: Draft): Grants | Fault {
  const scopes: ScopeGrant[] = draft.scopes
    .filter((scope) => scope.chosen)
    .map(({ name, guest, rights }) => ({ name, guest, rights }));
  for (const line of lines(draft.scopesText)) {
    const grant = parseScopeGrant(line);
    if ("problem" in grant) return fault("scopes", `${line}: ${grant.problem}`);
    scopes.push(grant);
  }
  const taken = new Set(["/data"]);
  for (const { name, guest } of scopes) {
    const isPath = /^(\/[^/\p{Cc}]+)+$/u.test(guest) && !guest.split("/").some(isDots);
    if (!isPath) {
      return fault("scopes", `the path of ${name} in the worker begins with / and has no . or ..`);
    }
    if (taken.has(guest)) return fault("scopes", `two directories would be at ${guest}`);
    taken.add(guest);
  }
  const http: HttpGrant[] = [];
  for (const line of lines(draft.http)) {
    const grant = parseHttpGrant(line);
    if ("problem" in grant) return fault("http", `${line}: ${grant.problem}`);
    http.push(grant);
  }
  const chosen = draft.secrets.filter((secret) => secret.chosen).map((secret) => secret.name);
  const secrets = [...new Set([...chosen, ...lines(draft.secretsText)])];
  return {
    scopes,
    ...(http.length ? { http } : {}),
    ...(secrets.length ? { secrets } : {}),
  };
}

/** Reads `key=value` lines; a value may contain `=`. Null if there is none. */
export function configOf(text: string): Record<string, string> | null | Fault {
  // A map, since a key may be `__proto__`.
  const values = new Map<string, string>();
  for (const line of lines(text)) {
    const at = line.indexOf("=");
    const key = at < 0 ? "" : line.slice(0, at).trim();
    if (key === "") return fault("config", `${line}: a line is KEY=VALUE`);
    if (values.has(key)) return fault("config", `${key} is given twice`);
    values.set(key, line.slice(at + 1).trim());
  }
  return values.size ? Object.fromEntries(values) : null;
}

export function isFault(value: unknown): value is Fault {
  return typeof value === "object" && value !== null && "field" in value && "text" in value;
}

function isDots(part: string): boolean {
  return part === "." || part === "..";
}

function fault(field: Fault["field"], text: string): Fault {
  return { field, text };
}

function lines(text: string): string[] {
  return text
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "");
}
