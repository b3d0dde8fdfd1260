// A service: exports `handler` and `lifecycle`.
import { begin, expect } from "./bundle.js";
import { Input } from "../input.js";
import { toOutput } from "../output.js";
import { phase } from "./phase.js";
import { finish, run, toFailure } from "./turn.js";

expect({
  called: "handle",
  optional: ["connected", "disconnecting"],
  wanted: "write `export default { async handle(input) { … } }`",
});

/** The reason of a `connected()` that failed, and has to be called again. */
let unconnected;

function connect(worker, reason) {
  phase.hook = true;
  try {
    if (worker.connected) run(() => worker.connected(reason));
    unconnected = undefined;
  } finally {
    phase.hook = false;
  }
}

export const handler = {
  handle(input) {
    try {
      const worker = begin();
      if (unconnected !== undefined) connect(worker, unconnected);
      return toOutput(run(() => worker.handle(new Input(input.contentType, input.body))));
    } catch (error) {
      throw toFailure(error);
    } finally {
      finish();
    }
  },
};

export const lifecycle = {
  /** An error in the hook is printed; the next turn calls it again, and fails where it fails. */
  connected(reason) {
    try {
      unconnected = reason;
      connect(begin(), reason);
    } catch (error) {
      console.error("connected() failed:", error);
    } finally {
      finish();
    }
  },

  disconnecting() {
    try {
      const worker = begin();
      if (worker.disconnecting) run(() => worker.disconnecting());
    } catch (error) {
      console.error("disconnecting() failed:", error);
    } finally {
      finish();
    }
  },
};
