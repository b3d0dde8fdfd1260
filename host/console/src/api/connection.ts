// Knowledge of the host's reachability: the time of its last sign of life, and whether a request
// or stream just failed to reach it. Nothing on a page is stale without saying so.

import { computed, signal } from "@preact/signals";

/** Time between looks at a host that is out of reach, in milliseconds. */
const RETRY_MS = 1_000;

/** A probe that takes longer than this counts as no answer, in milliseconds. */
const PROBE_MS = 2_000;

/** Silence after which the host is asked, in milliseconds. Offline shows after at most 3 s. */
const SILENCE_MS = 5_000;

/** When the host was last heard, in milliseconds since the epoch. */
export const lastHeard = signal(Date.now());

/** True while the host does not answer. */
export const offline = signal(false);

/** Counts returns of the host. What a page shows is loaded again when it changes. */
export const returns = signal(0);

/** True if changes can be sent. */
export const online = computed(() => !offline.value);

let probing = false;
let timer: ReturnType<typeof setTimeout> | undefined;

/** Records a sign of life: any response, and any byte of a stream. */
export function heard(): void {
  lastHeard.value = Date.now();
  if (offline.value) {
    offline.value = false;
    returns.value += 1;
  }
}

/** Records that a request or stream failed to reach the host, and asks the host itself. */
export function missed(): void {
  void probe();
}

/** Starts watching for silence. */
export function watchConnection(): void {
  const look = () => {
    const quiet = Date.now() - lastHeard.value >= SILENCE_MS;
    if (document.visibilityState === "visible" && (quiet || offline.value)) void probe();
    timer = setTimeout(look, RETRY_MS);
  };
  clearTimeout(timer);
  look();
  window.addEventListener("offline", () => void probe());
  window.addEventListener("online", () => void probe());
}

async function probe(): Promise<void> {
  if (probing) return;
  probing = true;
  try {
    const response = await fetch("/healthz", {
      signal: AbortSignal.timeout(PROBE_MS),
      cache: "no-store",
    });
    // A proxy that answers for an absent host does not count as the host.
    if (response.status >= 502 && response.status <= 504) offline.value = true;
    else heard();
  } catch {
    offline.value = true;
  } finally {
    probing = false;
  }
}
