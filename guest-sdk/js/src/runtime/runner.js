// The entry of the runner: it loads the worker's bundle at the first use, from `/app/VERSION/worker.js`
// where the config names a version under `skep.app`, else from `/app/worker.js`.
import { setPrepare } from "./bundle.js";
import { handler, lifecycle } from "./entry.js";
import { bundleVersion, preopened, readFile } from "../host/component.js";

setPrepare(() => {
  const folder = preopened("/app");
  if (!folder) throw new Error("the runner has no folder /app: grant it read-only with a worker.js made by --bundle-only");
  (0, eval)(new TextDecoder().decode(bundle(folder)));
});

function bundle(folder) {
  const version = bundleVersion();
  const file = version ? `${version}/worker.js` : "worker.js";
  try {
    return readFile(folder, file);
  } catch (error) {
    throw new Error(`the runner cannot read /app/${file}: ${error?.payload ?? error?.message}`);
  }
}

export { handler, lifecycle };
