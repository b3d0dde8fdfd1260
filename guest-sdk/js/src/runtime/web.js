// The entry of a built HTTP worker: exports `web`. The build puts the worker's bundle after it.
import { begin, expect } from "./bundle.js";
import { toRaw, toRequest } from "../web.js";
import { finish, run, toFailure } from "./turn.js";

expect({
  called: "fetch",
  optional: [],
  wanted: "write `export default { async fetch(request) { return new Response(…) } }`",
});

export const web = {
  respond(raw) {
    try {
      const worker = begin();
      return run(async () => toRaw(await worker.fetch(toRequest(raw))));
    } catch (error) {
      throw toFailure(error);
    } finally {
      finish();
    }
  },
};
