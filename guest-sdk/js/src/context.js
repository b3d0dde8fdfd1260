// The identity of the worker, and the current input.
import * as host from "#host";

export const context = {
  /** The id of the runtime that this worker belongs to. */
  get runtimeId() {
    return host.context.runtimeId();
  },

  /** This worker's id within its runtime. */
  get workerId() {
    return host.context.workerId();
  },

  /** The id of the input being handled, or `undefined` outside of a turn. */
  get inputId() {
    return host.context.inputId() ?? undefined;
  },

  /** The number of this attempt at the input, from 1. It is above 1 if the host died during an earlier attempt. */
  get attempt() {
    return host.context.attempt();
  },

  /** The milliseconds left until the turn's deadline, or `undefined` if there is no deadline. */
  get remainingMs() {
    const left = host.context.remainingMs();
    return left === null || left === undefined ? undefined : Number(left);
  },
};
