// Changes of a worker as a whole. Those that can be undone say so in a toast with Undo.

import { request, workerPath } from "../../api/client";
import { confirm } from "../../parts/dialog";
import { toast, toastFailure } from "../../parts/toast";
import { go, paths } from "../../router";
import { neutral } from "../../text/guest";
import { type LiveWorker, type Worker, nameOf } from "./live";

type Verb = "start" | "stop" | "rollback";

async function change(live: LiveWorker, verb: Verb): Promise<void> {
  live.put(await request<Worker>("post", `${workerPath(live.ref)}/${verb}`));
}

export async function stop(live: LiveWorker): Promise<void> {
  try {
    await change(live, "stop");
    toast({ text: "Stopped. Queued inputs are kept.", undo: () => change(live, "start") });
  } catch (error) {
    toastFailure("It was not stopped.", error);
  }
}

export async function start(live: LiveWorker): Promise<void> {
  try {
    await change(live, "start");
    toast({ text: "Started.", undo: () => change(live, "stop") });
  } catch (error) {
    toastFailure("It was not started.", error);
  }
}

export async function rollback(live: LiveWorker): Promise<void> {
  const before = live.worker.peek();
  try {
    await change(live, "rollback");
    toast({
      text: "Rolled back to the component and config from before the last update.",
      ...(before ? { undo: () => restore(live, before) } : {}),
    });
  } catch (error) {
    toastFailure("It was not rolled back.", error);
  }
}

/** Switches back to the component and config that a worker had. */
export async function restore(live: LiveWorker, { component, config }: Worker): Promise<void> {
  const json = { component, ...(config ? { config } : {}) };
  live.put(await request<Worker>("patch", workerPath(live.ref), { json }));
}

/** Makes a new worker from this one, and goes to it. */
export async function fork(live: LiveWorker): Promise<void> {
  const worker = live.worker.peek();
  if (!worker) return;
  const name = neutral(nameOf(worker));
  const sure = await confirm({
    title: `Fork ${name}?`,
    body: "A new worker begins with the state, files, config and limits that this one has after its last turn. It has no grants.",
    action: "Fork",
  });
  if (!sure) return;
  try {
    // A name has 128 characters at most.
    const json = worker.display_ref
      ? { display_ref: `${[...worker.display_ref].slice(0, 120).join("")} fork` }
      : {};
    const made = await request<Worker>("post", `${workerPath(live.ref)}/fork`, { json });
    toast({ text: `${neutral(nameOf(made))} was made from ${name}.` });
    go(paths.worker(made.runtime_id, made.worker_id));
  } catch (error) {
    toastFailure("It was not forked.", error);
  }
}

/** Removes a worker after its name was typed. */
export async function remove(live: LiveWorker, body: string): Promise<boolean> {
  const worker = live.worker.peek();
  const name = worker ? neutral(nameOf(worker)) : live.ref.worker_id;
  const sure = await confirm({
    title: `Remove ${name}?`,
    body,
    action: "Remove",
    danger: true,
    typed: name,
  });
  if (!sure) return false;
  try {
    await request<undefined>("delete", workerPath(live.ref));
    live.removed.value = true;
    toast({ text: `${name} was removed.` });
    return true;
  } catch (error) {
    toastFailure("It was not removed.", error);
    return false;
  }
}
