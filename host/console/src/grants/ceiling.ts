// The caller's ceiling for grants (`GET /api/me/grants`), and the first grant that exceeds it.

import { type Grants, type HttpGrant, type Rights, httpText, scopeText } from "./grants";

/** The answer of `GET /api/me/grants`. Null: anything that the runtime offers. */
export interface Grantable {
  role: string;
  scopes: { name: string; rights: Rights }[] | null;
  http: HttpGrant[] | null;
  secrets: string[] | null;
}

/** A grant that is too much for the caller. */
export interface Beyond {
  field: "scopes" | "http" | "secrets";
  /** A sentence with what and who. */
  text: string;
}

/**
 * Returns the first of `more` that the caller may not give; null if all may be given. What the
 * worker has already may stay.
 */
export function beyond(grantable: Grantable, has: Grants, more: Grants): Beyond | null {
  const past = (field: Beyond["field"], what: string): Beyond => ({
    field,
    text: `The role ${grantable.role} may not grant ${what}. An admin may.`,
  });
  for (const grant of more.scopes) {
    const offered = [...(grantable.scopes ?? []), ...has.scopes];
    const within = offered.some(
      (own) => own.name === grant.name && (own.rights === "rw" || grant.rights === "ro"),
    );
    if (grantable.scopes && !within) {
      return past("scopes", `the directory ${scopeText(grant)}`);
    }
  }
  for (const grant of more.http ?? []) {
    const offered = [...(grantable.http ?? []), ...(has.http ?? [])];
    if (grantable.http && !offered.some((own) => isWithin(grant, own))) {
      return past("http", `requests to ${httpText(grant)}`);
    }
  }
  for (const name of more.secrets ?? []) {
    const offered = [...(grantable.secrets ?? []), ...(has.secrets ?? [])];
    if (grantable.secrets && !offered.includes(name)) {
      return past("secrets", `the secret ${name}`);
    }
  }
  return null;
}

/**
 * True if a grant allows nothing beyond a ceiling. Two IPv6 addresses may be one in two spellings:
 * the host decides about them.
 */
export function isWithin(grant: HttpGrant, ceiling: HttpGrant): boolean {
  const port = (of: HttpGrant) => of.port ?? (of.scheme === "https" ? 443 : 80);
  const methods =
    !ceiling.methods?.length ||
    (Boolean(grant.methods?.length) &&
      (grant.methods ?? []).every((method) => ceiling.methods?.includes(method)));
  const host =
    ceiling.host === "*" ||
    ceiling.host === grant.host ||
    (ceiling.host.startsWith("[") && grant.host.startsWith("[")) ||
    (ceiling.host.startsWith("*.") && grant.host.endsWith(ceiling.host.slice(1)));
  return (
    grant.scheme === ceiling.scheme &&
    port(grant) === port(ceiling) &&
    host &&
    methods &&
    (Boolean(ceiling.inner) || !grant.inner)
  );
}
