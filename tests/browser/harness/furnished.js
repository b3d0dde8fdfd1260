// A host with something to see on every page: workers in each state, a remote, a denial, files.

import { Host } from "./host.js";
import { startPeer } from "./peer.js";

/** Starts it. `remove` ends all of it. */
export async function startFurnished() {
  const [host, attic, peer] = await Promise.all([
    Host.start(),
    Host.start({ kind: "runtime", id: "attic" }),
    startPeer(),
  ]);
  await host.addRemote(attic);
  const api = host.api();
  const create = (guest, name, more = {}) => api.create(host.runtimeId, guest, { display_ref: name, ...more });
  const { digest: config } = await api.send("POST", `/api/runtimes/${host.runtimeId}/configs`, {
    json: { values: { greeting: "good morning", colour: "amber" } },
  });
  const worker = await create("scribe", "scribe", {
    config,
    labels: { team: "apiary", stage: "trial" },
    limits: { memory_bytes: 64 << 20 },
  });
  const base = `/api/runtimes/${worker.runtime_id}/workers/${worker.worker_id}`;
  await api.input(worker, "emit note the queen was seen");
  await api.input(worker, "set honey 12 jars");
  await api.input(worker, "set wax/frames 8");
  await api.input(worker, "save notes.txt two frames of brood");
  await api.input(worker, "fail no-smoke the smoker went out");
  await api.input(worker, "echo all is well");
  await api.send("PUT", `${base}/files/reports/may.txt`, { body: "swarmed on the 9th" });
  const json = { count: "x", big: 1 };
  const body = JSON.stringify(json).replace('"x"', "18446744073709551615").replace(":1}", ":9007199254740993}");
  await api.send("POST", `${base}/inputs?wait_ms=30000`, { body, headers: { "content-type": "application/json" } });
  const denied = await create("caller", "caller");
  await api.input(denied, `get ${peer.url}/honey`);
  const stopped = await create("counter", "old-hive");
  await api.send("POST", `/api/runtimes/${stopped.runtime_id}/workers/${stopped.worker_id}/stop`);
  const tally = await create("counter", "tally", { labels: { team: "apiary" } });
  for (let n = 0; n < 3; n += 1) await api.input(tally, `${n}`);
  const remove = async () => {
    peer.close();
    await Promise.all([host.remove(), attic.remove()]);
  };
  return { host, attic, worker, denied, stopped, tally, remove };
}
