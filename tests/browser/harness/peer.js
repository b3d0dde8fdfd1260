// A server that guests call.

import { once } from "node:events";
import { createServer } from "node:http";

/** Starts a server that answers `hello`; `close` ends it. */
export async function startPeer() {
  const server = createServer((_request, response) => response.end("hello"));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}
