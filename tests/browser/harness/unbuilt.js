// For work on the console: its files from host/console/dist instead of those in `skep`, so that a
// changed page needs no new build of the program. Answers have the headers that the host gives.

import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";

import { dist } from "./paths.js";

const TYPES = { js: "text/javascript", css: "text/css", svg: "image/svg+xml" };

/** Serves the files of a context from the folder of the built console. */
export async function serveUnbuilt(context, url) {
  const policy = (await fetch(url)).headers.get("content-security-policy");
  await context.route(
    (asked) => asked.origin === url && !/^\/(api|healthz|readyz|metrics)/.test(asked.pathname),
    async (route) => {
      const { pathname } = new URL(route.request().url());
      const file = join(dist(), pathname);
      if (pathname.startsWith("/assets/") && existsSync(file)) {
        const contentType = TYPES[pathname.split(".").at(-1)];
        return route.fulfill({ body: readFileSync(file), contentType });
      }
      if (route.request().resourceType() !== "document") return route.continue();
      const headers = { "content-security-policy": policy, "content-type": "text/html; charset=utf-8" };
      return route.fulfill({ path: join(dist(), "index.html"), headers });
    },
  );
}
