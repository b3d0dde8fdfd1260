// The state of the connection: live, or offline with the time of the last sign of life.

import { lastHeard, offline } from "../api/connection";
import { session } from "../api/session";
import { now } from "../parts/time";
import { Icon } from "../parts/icon";
import { duration } from "../text/time";

function silence(): string {
  return duration(Math.max(1_000, Math.max(now.value, Date.now()) - lastHeard.value), 1);
}

/** A word in the navigation. */
export function ConnectionState() {
  if (offline.value) {
    return (
      <span class="state warn" title="Skep does not answer">
        <Icon name="offline" />
        <span class="words">Offline</span>
      </span>
    );
  }
  if (session.value === "ended") return <span class="state off">Logged out</span>;
  return (
    <span class="state good" title="Changes arrive as they happen">
      <svg viewBox="0 0 12 12" aria-hidden="true">
        <circle cx="6" cy="6" r="3.4" fill="currentColor" />
      </svg>
      <span class="words">Live</span>
    </span>
  );
}

/** A bar over the page while the host is away. What is shown is dimmed, and changes are off. */
export function OfflineBar() {
  if (!offline.value) return <div role="status" />;
  return (
    <div class="offline-bar" role="status">
      <Icon name="offline" />
      <span>
        <strong>Offline.</strong> Skep was last heard {silence()} ago. What you see is from then;
        what you type is kept. This page goes on by itself.
      </span>
    </div>
  );
}
