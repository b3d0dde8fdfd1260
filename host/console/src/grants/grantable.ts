// The caller's ceiling for grants, fetched once per login. If the host has no such endpoint, the
// ceiling is unknown and the host's refusal is shown instead.

import { signal } from "@preact/signals";

import { request } from "../api/client";
import { Problem, isAbort } from "../api/problem";
import { me } from "../api/session";
import type { Grantable } from "./ceiling";

/** Null while it is unknown. */
export const grantable = signal<Grantable | null>(null);

let askedFor: unknown = null;

/** Asks once for each login; safe to call at each render. */
export function askGrantable(): void {
  const caller = me.peek();
  if (!caller || askedFor === caller) return;
  askedFor = caller;
  request<Grantable>("get", "/api/me/grants").then(
    (answer) => {
      if (askedFor === caller) grantable.value = answer;
    },
    (error: unknown) => {
      if (askedFor !== caller) return;
      grantable.value = null;
      // Unknown for good only if the host says so; otherwise the next page asks again.
      const isOld = error instanceof Problem && (error.status === 404 || error.status === 405);
      if (!isOld && !isAbort(error)) askedFor = null;
    },
  );
}
