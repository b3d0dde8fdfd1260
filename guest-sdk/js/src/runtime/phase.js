// The phase of a component: its modules are being loaded, or an instance is live. A component's modules are
// loaded at build time, and each instance starts from a snapshot of them.

export const phase = {
  /** False while the worker's modules are loaded. */
  live: false,
  /** True while `connected()` runs. */
  hook: false,
  /** The WIT interfaces that the worker's source imports, by name. */
  interfaces: {},
};

/** Throws the error of a call that needs a turn. */
export function requireTurn(what) {
  throw new Error(
    `${what} was called while the worker's modules are loaded, when there is no host yet: the code outside of functions runs once, at build time; call it in handle(), fetch() or connected()`,
  );
}
