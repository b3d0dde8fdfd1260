// The worker's config bundle: text values, fixed while the worker runs.
import * as host from "#host";

export const config = {
  /** Returns the value of a key, or `undefined`. */
  get(key) {
    return host.config.get(String(key)) ?? undefined;
  },

  /** Returns all keys and values, sorted by key. */
  all() {
    return Object.fromEntries(host.config.getAll());
  },
};
