// A development server for the console: files of dist/ with the policy that `skep up` sends, and
// everything under /api, /healthz and /readyz from a running `skep up`.

import { createServer, request } from "node:http";
import { readFile } from "node:fs/promises";
import { extname, join, normalize } from "node:path";

const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; " +
  "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; " +
  "require-trusted-types-for 'script'; trusted-types 'none'";

const TYPES = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".svg": "image/svg+xml",
  ".map": "application/json",
};

/** Passes a request on. Host and Origin become the target's own, which `skep up` insists on. */
function pass(target, incoming, outgoing) {
  const headers = { ...incoming.headers, host: target.host };
  if (headers.origin) headers.origin = target.origin;
  const passed = request(
    new URL(incoming.url, target),
    { method: incoming.method, headers },
    (answer) => {
      outgoing.writeHead(answer.statusCode, answer.headers);
      answer.pipe(outgoing);
    },
  );
  passed.on("error", () => {
    if (outgoing.headersSent) outgoing.destroy();
    else outgoing.writeHead(502).end();
  });
  outgoing.on("close", () => passed.destroy());
  incoming.pipe(passed);
}

/** Serves until the process ends. `PORT` chooses the port. */
export function serve(dist, address) {
  const target = new URL(address);
  const server = createServer(async (incoming, outgoing) => {
    const { pathname } = new URL(incoming.url, "http://localhost");
    if (/^\/(api\/|healthz|readyz)/.test(pathname)) return pass(target, incoming, outgoing);
    const asset = pathname.startsWith("/assets/");
    const file = asset ? normalize(pathname).replace(/^(\.\.[/\\])+/, "") : "index.html";
    try {
      const bytes = await readFile(join(dist, file));
      outgoing.writeHead(200, {
        "content-type": TYPES[extname(file)] ?? "application/octet-stream",
        "content-security-policy": POLICY,
        "cache-control": "no-cache",
        "x-content-type-options": "nosniff",
      });
      outgoing.end(bytes);
    } catch {
      outgoing.writeHead(404).end();
    }
    return undefined;
  });
  server.listen(Number(process.env.PORT ?? 7080), "127.0.0.1", () => {
    const { port } = server.address();
    console.log(`console on http://127.0.0.1:${port} with the API of ${target.origin}`);
  });
  return server;
}
