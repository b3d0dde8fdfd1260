// The entry of the runner: it loads the worker's bundle from `/app/worker.js` at the first use.
import { handler, lifecycle, setPrepare } from "./entry.js";
import { preopened, readFile } from "../host/component.js";

const FILE = "/app/worker.js";

setPrepare(() => {
  const folder = preopened("/app");
  if (!folder) throw new Error("the runner has no folder /app: grant it read-only with a worker.js made by --bundle-only");
  (0, eval)(new TextDecoder().decode(bundle(folder)));
});

function bundle(folder) {
  try {
    return readFile(folder, "worker.js");
  } catch (error) {
    throw new Error(`the runner cannot read ${FILE}: ${error?.payload ?? error?.message}`);
  }
}

export { handler, lifecycle };
