// The caller: who is logged in and what their role may do. Nothing secret is held here or in any
// storage; the session is a cookie that scripts cannot read.

import { computed, effect, signal } from "@preact/signals";

import type { components } from "./schema";

export type Role = components["schemas"]["Role"];
export type Me = components["schemas"]["Me"];

const RANK: Record<Role, number> = { viewer: 0, operator: 1, admin: 2 };

/** The caller; null before the first answer and without a session. */
export const me = signal<Me | null>(null);

/** `unknown` until the host has answered. */
export const session = signal<"unknown" | "open" | "ended">("unknown");

export const role = computed<Role>(() => me.value?.role ?? "viewer");

/** Returns true if the caller's role includes another. Read inside a component, it is followed. */
export function may(needed: Role): boolean {
  return RANK[role.value] >= RANK[needed];
}

/** Records that the host no longer knows the session. The login dialog opens over the page. */
export function ended(): void {
  session.value = "ended";
}

/** Records a login. Reads that waited for it go on. */
export function begun(caller: Me): void {
  me.value = caller;
  session.value = "open";
}

/** Waits until a session is open. */
export function loggedInAgain(aborted?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    let stop: (() => void) | undefined;
    const cancel = () => {
      stop?.();
      reject(new DOMException("The page was left.", "AbortError"));
    };
    if (aborted?.aborted) return cancel();
    aborted?.addEventListener("abort", cancel, { once: true });
    stop = effect(() => {
      if (session.value !== "open") return;
      aborted?.removeEventListener("abort", cancel);
      // The effect's own disposer is not assigned yet if the session is already open.
      queueMicrotask(() => stop?.());
      resolve();
    });
    return undefined;
  });
}
