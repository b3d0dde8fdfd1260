// Shapes of the API about access.

import type { Role } from "../../api/session";

export interface TokenView {
  token_id: string;
  name?: string | null;
  role: Role;
  /** Null: all. */
  runtimes: string[] | null;
  created_at: string;
  expires_at: string | null;
  revoked_at: string | null;
}

/** The answer of a creation: the secret, once. */
export interface NewToken extends TokenView {
  token: string;
}

export interface SessionView {
  session_id: string;
  token_id: string | null;
  role: Role;
  created_at: string;
  expires_at: string | null;
  current: boolean;
}

export type TokenState = "valid" | "expired" | "revoked";

/** The state of a token at a moment, in milliseconds since the epoch. */
export function stateOf(token: Pick<TokenView, "expires_at" | "revoked_at">, now: number): TokenState {
  if (token.revoked_at) return "revoked";
  if (token.expires_at && Date.parse(token.expires_at) <= now) return "expired";
  return "valid";
}

/** Sorts valid tokens before the others, the newest first. */
export function sorted(tokens: readonly TokenView[], now: number): TokenView[] {
  const rank = (token: TokenView) => (stateOf(token, now) === "valid" ? 0 : 1);
  return [...tokens].sort(
    (a, b) => rank(a) - rank(b) || b.created_at.localeCompare(a.created_at),
  );
}
