// Grants as plain data: their text form, what a change adds and takes, and what a denial asks for.
// The rules are those of `skep_protocol::Grants`; the host decides, this only foresees it.

export type Rights = "ro" | "rw";

export interface ScopeGrant {
  name: string;
  guest: string;
  rights: Rights;
}

export interface HttpGrant {
  scheme: "http" | "https";
  host: string;
  port?: number | null;
  methods?: string[];
  inner?: boolean;
}

export interface Grants {
  scopes: ScopeGrant[];
  http?: HttpGrant[];
  secrets?: string[];
}

/** The body of a `denied` entry. */
export interface Denial {
  wanted?: string | null;
  grant?: Grants | null;
}

export const NO_GRANTS: Grants = { scopes: [] };

export function isEmpty(grants: Grants): boolean {
  return grants.scopes.length + (grants.http?.length ?? 0) + (grants.secrets?.length ?? 0) === 0;
}

/** One grant as a line of text, with what tells it from others. */
export interface GrantLine {
  kind: "directory" | "http" | "secret";
  /** Lines with the same key are versions of one grant: a directory at a guest path, an origin. */
  key: string;
  text: string;
}

export function scopeText(grant: ScopeGrant): string {
  return `${grant.name}::${grant.guest}:${grant.rights}`;
}

export function originText(grant: HttpGrant): string {
  const port = grant.port == null ? "" : `:${String(grant.port)}`;
  return `${grant.scheme}://${grant.host}${port}`;
}

/** The text form of an HTTP grant: `GET,HEAD https://*.example.com:8443 inner`. */
export function httpText(grant: HttpGrant): string {
  const methods = grant.methods?.length ? `${grant.methods.join(",")} ` : "";
  return `${methods}${originText(grant)}${grant.inner ? " inner" : ""}`;
}

export function grantLines(grants: Grants): GrantLine[] {
  return [
    ...grants.scopes.map((grant): GrantLine => ({
      kind: "directory",
      key: `directory ${grant.guest}`,
      text: scopeText(grant),
    })),
    ...(grants.http ?? []).map((grant): GrantLine => ({
      kind: "http",
      key: `http ${originText(grant)}`,
      text: httpText(grant),
    })),
    ...(grants.secrets ?? []).map((name): GrantLine => ({
      kind: "secret",
      key: `secret ${name}`,
      text: name,
    })),
  ];
}

export interface GrantChange {
  mark: "same" | "removed" | "added";
  line: GrantLine;
}

/**
 * Compares two sets of grants, one line each. A line that replaces another follows it at once;
 * lines that are only in `after` come last.
 */
export function diffGrants(before: Grants, after: Grants): GrantChange[] {
  const was = grantLines(before);
  const is = grantLines(after);
  const kept = new Set(is.map((line) => `${line.kind} ${line.text}`));
  const had = new Set(was.map((line) => `${line.kind} ${line.text}`));
  const isNew = (line: GrantLine) => !had.has(`${line.kind} ${line.text}`);
  const shown = new Set<GrantLine>();
  const changes: GrantChange[] = [];
  for (const line of was) {
    if (kept.has(`${line.kind} ${line.text}`)) {
      changes.push({ mark: "same", line });
      continue;
    }
    changes.push({ mark: "removed", line });
    const successor = is.find((next) => next.key === line.key && isNew(next) && !shown.has(next));
    if (successor) {
      shown.add(successor);
      changes.push({ mark: "added", line: successor });
    }
  }
  for (const line of is) {
    if (isNew(line) && !shown.has(line)) changes.push({ mark: "added", line });
  }
  return changes;
}

/** True if both grant the same, in any order. */
export function sameGrants(one: Grants, other: Grants): boolean {
  const text = (grants: Grants) =>
    grantLines(grants)
      .map((line) => `${line.kind} ${line.text}`)
      .sort()
      .join("\n");
  return text(one) === text(other);
}

/**
 * Adds grants as the host's `Grants::add` does: a directory replaces one at the same guest path.
 * Methods of one origin become one grant, so that a second denial widens the first grant.
 */
export function addGrants(has: Grants, more: Grants): Grants {
  const scopes = [...has.scopes];
  for (const grant of more.scopes) {
    const place = scopes.findIndex((own) => own.guest === grant.guest);
    if (place < 0) scopes.push(grant);
    else scopes[place] = grant;
  }
  const http = [...(has.http ?? [])];
  for (const grant of more.http ?? []) {
    const place = http.findIndex(
      (own) => sameOrigin(own, grant) && Boolean(own.inner) === Boolean(grant.inner),
    );
    const own = http[place];
    if (own) http[place] = joinMethods(own, grant);
    else http.push(grant);
  }
  const secrets = [...(has.secrets ?? [])];
  for (const name of more.secrets ?? []) {
    if (!secrets.includes(name)) secrets.push(name);
  }
  return {
    scopes,
    ...(http.length ? { http } : {}),
    ...(secrets.length ? { secrets } : {}),
  };
}

/** Takes away grants that have exactly these texts. */
export function withoutGrants(has: Grants, less: Grants): Grants {
  const gone = new Set(grantLines(less).map((line) => `${line.kind} ${line.text}`));
  const stays = (kind: GrantLine["kind"], text: string) => !gone.has(`${kind} ${text}`);
  const http = (has.http ?? []).filter((grant) => stays("http", httpText(grant)));
  const secrets = (has.secrets ?? []).filter((name) => stays("secret", name));
  return {
    scopes: has.scopes.filter((grant) => stays("directory", scopeText(grant))),
    ...(http.length ? { http } : {}),
    ...(secrets.length ? { secrets } : {}),
  };
}

function sameOrigin(one: HttpGrant, other: HttpGrant): boolean {
  const port = (grant: HttpGrant) => grant.port ?? (grant.scheme === "https" ? 443 : 80);
  return one.scheme === other.scheme && one.host === other.host && port(one) === port(other);
}

function joinMethods(one: HttpGrant, other: HttpGrant): HttpGrant {
  // No methods means every method.
  if (!one.methods?.length) return one;
  const joined: HttpGrant = { ...one };
  if (other.methods?.length) joined.methods = [...new Set([...one.methods, ...other.methods])];
  else delete joined.methods;
  return joined;
}

/** What a denied turn needs, or the reason that no grant helps. */
export type Suggestion =
  | { needs: Grants; wanted: string; /** The method alone would do. */ narrowed: boolean }
  | { needs: null; wanted: string; reason: string };

/**
 * Reads the body of a `denied` entry. `narrow` keeps a request's grant to the method that was
 * tried; the denial itself names every method.
 */
export function suggestGrant(body: unknown, label: string | null, narrow: boolean): Suggestion {
  const denial = isDenial(body) ? body : {};
  const wanted = denial.wanted ?? label ?? "an access";
  const grant = denial.grant;
  if (!grant || isEmpty(grant)) {
    return { needs: null, wanted, reason: noGrantReason(label) };
  }
  const method = /^[A-Z_-]{1,32}(?= )/.exec(wanted)?.[0];
  const canNarrow = method !== undefined && (grant.http ?? []).some((one) => !one.methods?.length);
  if (!canNarrow || !narrow) return { needs: grant, wanted, narrowed: false };
  const http = (grant.http ?? []).map((one) =>
    one.methods?.length ? one : { ...one, methods: [method] },
  );
  return { needs: { ...grant, http }, wanted, narrowed: true };
}

/** True if the grant could be kept to one method. */
export function canNarrow(body: unknown): boolean {
  const narrow = suggestGrant(body, null, true);
  return narrow.needs !== null && narrow.narrowed;
}

function noGrantReason(label: string | null): string {
  if (label?.startsWith("wasi:sockets")) {
    return "No grant allows sockets. A guest reaches the network by HTTP requests.";
  }
  if (label?.startsWith("wasi:filesystem")) {
    return "The operator offers this directory read-only, or does not offer it.";
  }
  return "No grant allows this.";
}

function isDenial(body: unknown): body is Denial {
  if (typeof body !== "object" || body === null) return false;
  const { wanted, grant } = body as { wanted?: unknown; grant?: unknown };
  const textual = wanted === undefined || wanted === null || typeof wanted === "string";
  if (!textual) return false;
  if (grant === undefined || grant === null) return true;
  return typeof grant === "object" && Array.isArray((grant as { scopes?: unknown }).scopes);
}

/** Parses `NAME::GUEST[:ro|rw]`, read-only by default; returns the reason if it is not a grant. */
export function parseScopeGrant(text: string): ScopeGrant | { problem: string } {
  const parts = /^([^:\s]+)::(\/.*?)(?::(ro|rw))?$/.exec(text.trim());
  const [, name, guest, rights] = parts ?? [];
  if (!name || !guest) return { problem: "a directory is NAME::PATH, then :ro or :rw" };
  return { name, guest, rights: rights === "rw" ? "rw" : "ro" };
}

/** Parses `[METHOD,… ]SCHEME://HOST[:PORT][ inner]`; returns the reason if it is not a grant. */
export function parseHttpGrant(text: string): HttpGrant | { problem: string } {
  const words = text.split(" ").filter((word) => word !== "");
  const inner = words.at(-1) === "inner";
  if (inner) words.pop();
  const origin = words.pop();
  const [methodsText, ...rest] = words;
  if (origin === undefined || rest.length > 0) {
    return { problem: "a grant is [METHOD,… ]SCHEME://HOST[:PORT][ inner], without a path" };
  }
  const methods = methodsText?.split(",") ?? [];
  if (!methods.every((method) => /^[A-Z_-]{1,32}$/.test(method))) {
    return { problem: "a method is 1 to 32 of A-Z, - and _" };
  }
  const parts = /^([a-z]+):\/\/(\[[0-9a-fA-F:.]+\]|[^:/[\]]*)(?::(.*?))?\/?$/.exec(origin);
  if (!parts) {
    return { problem: "a grant is [METHOD,… ]SCHEME://HOST[:PORT][ inner], without a path" };
  }
  const [, scheme, host = "", portText] = parts;
  if (scheme !== "http" && scheme !== "https") return { problem: "the scheme is http or https" };
  const isHost = /^(\*|(\*\.)?[a-z0-9_-]+(\.[a-z0-9_-]+)*|\[[0-9a-f:.]+\])$/i.test(host);
  if (!isHost) return { problem: "the host is a name, an address, *. and a name, or *" };
  const grant: HttpGrant = { scheme, host: host.toLowerCase() };
  if (portText !== undefined) {
    const port = /^\d{1,5}$/.test(portText) ? Number(portText) : 0;
    if (port < 1 || port > 65535) return { problem: "a port is a number from 1 to 65535" };
    grant.port = port;
  }
  if (methods.length) grant.methods = methods;
  if (inner) grant.inner = true;
  return grant;
}
