// The lifecycle hooks, and the verb that tells what they saw.
let last = "none";

export const lifecycle = {
  connected(reason) {
    last = reason;
  },

  disconnecting() {},
};

export const lifecycleVerbs = { lifecycle: () => last };
