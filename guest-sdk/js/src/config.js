// The worker's config bundle: text values, fixed while the worker runs.
import * as host from "#host";

/** The key by which the runner finds the version of the bundle. It is no value of the author's. */
export const VERSION_KEY = "skep.app";

export const config = {
  /** Returns the value of a key, or `undefined`. */
  get(key) {
    return key === VERSION_KEY ? undefined : (host.config.get(String(key)) ?? undefined);
  },

  /** Returns all keys and values, sorted by key. */
  all() {
    return Object.fromEntries(host.config.getAll().filter(([key]) => key !== VERSION_KEY));
  },
};
