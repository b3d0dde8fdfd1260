// A person's preferences, in this browser's storage: the only use of it, and nothing secret.

import { effect, signal, type Signal } from "@preact/signals";

import type { TimeStyle } from "./text/time";

export type Theme = "system" | "light" | "dark";

/** A preference that outlives the page where the browser allows it. */
function kept<T extends string>(name: string, values: readonly T[], initial: T): Signal<T> {
  const key = `skep.${name}`;
  let stored: string | null = null;
  try {
    stored = localStorage.getItem(key);
  } catch {
    // Storage is switched off: the preference lives as long as the page.
  }
  const value = signal<T>(values.find((one) => one === stored) ?? initial);
  effect(() => {
    const now = value.value;
    try {
      if (now === initial) localStorage.removeItem(key);
      else localStorage.setItem(key, now);
    } catch {
      // As above.
    }
  });
  return value;
}

export const theme = kept<Theme>("theme", ["system", "light", "dark"], "system");
export const clock = kept<TimeStyle>("clock", ["relative", "local", "utc"], "relative");
export const singleKeys = kept<"on" | "off">("keys", ["on", "off"], "on");

/** Applies the theme to the document, now and at each change. */
export function applyTheme(): void {
  effect(() => {
    const { dataset } = document.documentElement;
    if (theme.value === "system") delete dataset.theme;
    else dataset.theme = theme.value;
  });
}
