// Addresses of the pages. Ids stand in the path; what a person typed or a guest named stands after
// `#`, which browsers do not send, so no log of a server or proxy has it.

import { computed, signal } from "@preact/signals";

export const TABS = ["transcript", "inputs", "files", "state", "settings", "diagnostics"] as const;
export type Tab = (typeof TABS)[number];

export type Route =
  | { page: "overview" }
  | { page: "workers" }
  | { page: "worker"; runtime: string; worker: string; tab: Tab }
  | { page: "components" }
  | { page: "component"; runtime: string; digest: string }
  | { page: "runtime"; id: string }
  | { page: "ci"; run: string | null; step: string | null }
  | { page: "audit" }
  | { page: "access" }
  | { page: "missing" };

/** Reads a path. */
export function parse(path: string): Route {
  let parts: string[];
  try {
    parts = path.split("/").filter(Boolean).map(decodeURIComponent);
  } catch {
    return { page: "missing" };
  }
  const [first, second, third, fourth] = parts;
  const n = parts.length;
  // The overview lists the runtimes; a login link's page is whatever follows the login.
  if (n === 0 || (n === 1 && (first === "login" || first === "runtimes"))) {
    return { page: "overview" };
  }
  if (n === 1 && (first === "workers" || first === "components")) return { page: first };
  if (n === 1 && (first === "audit" || first === "access")) return { page: first };
  if (first === "w" && second && third && n <= 4) {
    const tab = fourth ?? "transcript";
    if (isTab(tab)) return { page: "worker", runtime: second, worker: third, tab };
  }
  if (first === "components" && second && third && n === 3) {
    return { page: "component", runtime: second, digest: third };
  }
  if (first === "runtimes" && second && n === 2) return { page: "runtime", id: second };
  if (first === "ci" && n <= 3) return { page: "ci", run: second ?? null, step: third ?? null };
  return { page: "missing" };
}

function isTab(word: string): word is Tab {
  return (TABS as readonly string[]).includes(word);
}

const id = encodeURIComponent;

/** Paths by page: `paths.worker(runtime, worker, "files")`. */
export const paths = {
  overview: () => "/",
  workers: () => "/workers",
  worker: (runtime: string, worker: string, tab: Tab = "transcript") =>
    `/w/${id(runtime)}/${id(worker)}/${tab}`,
  components: () => "/components",
  // A digest's colon may stand in a path.
  component: (runtime: string, digest: string) =>
    `/components/${id(runtime)}/${id(digest).replace("%3A", ":")}`,
  runtime: (runtime: string) => `/runtimes/${id(runtime)}`,
  ci: () => "/ci",
  run: (run: string) => `/ci/${id(run)}`,
  step: (run: string, step: string) => `/ci/${id(run)}/${id(step)}`,
  audit: () => "/audit",
  access: () => "/access",
};

// Unit tests load this file without a browser.
const path = signal(globalThis.location?.pathname ?? "/");
const fragment = signal(globalThis.location?.hash ?? "");

export const route = computed<Route>(() => parse(path.value));

/** Values after `#`, such as `q` and `seq`. */
export const hash = computed<Readonly<Record<string, string>>>(() =>
  Object.fromEntries(new URLSearchParams(fragment.value.slice(1))),
);

/** Writes a fragment, with its `#`; empty if there is nothing to write. */
export function hashText(values: Record<string, string | number | null | undefined>): string {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(values)) {
    if (value !== null && value !== undefined && value !== "") parameters.set(name, String(value));
  }
  const text = parameters.toString();
  return text ? `#${text}` : "";
}

/** Goes to a path of ours, with an optional fragment. */
export function go(to: string, { replace = false } = {}): void {
  if (to === location.pathname + location.hash) return;
  if (replace) history.replaceState(null, "", to);
  else history.pushState(null, "", to);
  arrive();
}

/** Sets values after `#` and keeps the others; null removes one. Typing replaces, it adds no
 * entry to the history. */
export function setHash(
  values: Record<string, string | number | null | undefined>,
  { replace = true } = {},
): void {
  go(location.pathname + hashText({ ...hash.peek(), ...values }), { replace });
}

function arrive(): void {
  path.value = location.pathname;
  fragment.value = location.hash;
}

/** True for a click that a link of ours handles: no new tab, no download. */
function isPlain(event: MouseEvent): boolean {
  return event.button === 0 && !event.metaKey && !event.ctrlKey && !event.shiftKey && !event.altKey;
}

/** Follows clicks on links to our own pages, and the browser's buttons. */
export function startRouter(): void {
  window.addEventListener("popstate", arrive);
  window.addEventListener("hashchange", arrive);
  document.addEventListener("click", (event) => {
    if (event.defaultPrevented || !isPlain(event) || !(event.target instanceof Element)) return;
    const link = event.target.closest("a");
    if (!link?.href || link.target || link.hasAttribute("download")) return;
    const to = new URL(link.href);
    if (to.origin !== location.origin || to.pathname.startsWith("/api/")) return;
    event.preventDefault();
    go(to.pathname + to.hash);
  });
}
