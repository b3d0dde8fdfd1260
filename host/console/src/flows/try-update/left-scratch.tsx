// Scratch workers that an earlier try left behind, as when the browser crashed, and a way to remove
// them.

import { useEffect } from "preact/hooks";
import { useSignal } from "@preact/signals";

import type { Schemas } from "../../api/client";
import { Button } from "../../parts/button";
import { Icon } from "../../parts/icon";
import { toast, toastFailure } from "../../parts/toast";
import { leftScratch, removeScratch } from "../scratch";

type WorkerEntry = Schemas["WorkerEntry"];

export function LeftScratch({ worker }: { worker: Pick<WorkerEntry, "runtime_id" | "worker_id"> }) {
  const left = useSignal<readonly WorkerEntry[]>([]);
  useEffect(() => {
    const away = new AbortController();
    leftScratch(worker, away.signal).then(
      (found) => (left.value = found),
      () => undefined,
    );
    return () => away.abort();
  }, [worker.runtime_id, worker.worker_id]);
  const count = left.value.length;
  if (count === 0) return null;

  const clean = async () => {
    try {
      for (const one of left.peek()) await removeScratch(one);
      toast({ text: count === 1 ? "The scratch worker was removed." : `${count} scratch workers were removed.` });
      left.value = [];
    } catch (error) {
      toastFailure("Not all scratch workers were removed.", error);
    }
  };
  return (
    <div class="problem warn">
      <Icon name="warn" />
      <p class="grow">
        An earlier try left {count === 1 ? "a scratch worker" : `${count} scratch workers`} behind.
      </p>
      <Button icon="trash" needs="operator" onClick={clean}>
        Remove
      </Button>
    </div>
  );
}
