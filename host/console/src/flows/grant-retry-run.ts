// Granting what a turn was denied, and sending its input again. The host is a parameter, so tests
// need none.

import { type Grants, addGrants, sameGrants } from "../grants/grants";
import type { Body } from "./replay";

export interface GrantHost {
  grants(): Promise<Grants>;
  /** Replaces the grants; "conflict" if they are no longer `before`. */
  replace(before: Grants, after: Grants): Promise<"replaced" | "conflict">;
  /** Sends an input again, under a key that makes a repeated request count once. */
  send(input: Body, key: string): Promise<{ inputId: string; outcome: string | null }>;
}

export type Granted =
  /** The grants were changed by another person meanwhile; nothing was granted or sent. */
  | { step: "conflict"; now: Grants }
  /** The grant stands; the input was not sent again because it is not known whole. */
  | { step: "granted"; before: Grants; after: Grants }
  /** The grant stands and the input was sent. The outcome is null if the turn still runs. */
  | { step: "sent"; before: Grants; after: Grants; inputId: string; outcome: string | null }
  /** The grant stands, sending failed. */
  | { step: "unsent"; before: Grants; after: Grants; error: unknown };

/** Grants and sends. A failure to grant is thrown; after it, the grant stands in every result. */
export async function grantAndRetry(
  host: GrantHost,
  before: Grants,
  needs: Grants,
  input: Body | null,
  key: string,
): Promise<Granted> {
  const after = addGrants(before, needs);
  if ((await host.replace(before, after)) === "conflict") {
    return { step: "conflict", now: await host.grants() };
  }
  return retry(host, before, after, input, key);
}

/** Sends the input again, with the grants as they are. */
export async function retry(
  host: GrantHost,
  before: Grants,
  after: Grants,
  input: Body | null,
  key: string,
): Promise<Granted> {
  if (input === null) return { step: "granted", before, after };
  try {
    const sent = await host.send(input, key);
    return { step: "sent", before, after, ...sent };
  } catch (error) {
    return { step: "unsent", before, after, error };
  }
}

/**
 * Takes the grant back. Fails with a sentence if another person changed the grants since: to
 * restore old ones would take theirs too.
 */
export async function undoGrant(host: GrantHost, before: Grants, after: Grants): Promise<void> {
  if ((await host.replace(after, before)) === "replaced") return;
  if (sameGrants(await host.grants(), before)) return;
  throw new Error("The grants were changed since. Settings shows them as they are.");
}
