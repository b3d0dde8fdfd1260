// The tab "Inputs": the composer, and the inputs that wait, run or ended lately.

import { useEffect } from "preact/hooks";
import { useSignal } from "@preact/signals";

import { type Schemas, request, workerPath } from "../../api/client";
import { Button } from "../../parts/button";
import { CommandLine, Empty } from "../../parts/empty";
import { Loaded, useLoad } from "../../parts/load";
import { Id } from "../../parts/name";
import { State } from "../../parts/state";
import { Time } from "../../parts/time";
import { toast, toastFailure } from "../../parts/toast";
import { paths } from "../../router";
import { bytes as size } from "../../text/bytes";
import { duration } from "../../text/time";
import { Composer } from "./composer";
import { EndingState } from "./entry-row";
import type { LiveWorker, Worker } from "./live";
import { useActivity } from "./settled";

type Summary = Schemas["InputSummary"] & { started_at?: string | null };
interface Page {
  items: Summary[];
  next_cursor: string | null;
}

/** Inputs of one page. */
const PAGE = 50;

export function InputsTab({ live, worker }: { live: LiveWorker; worker: Worker }) {
  const base = `${workerPath(live.ref)}/inputs`;
  const older = useSignal<readonly Summary[]>([]);
  const next = useSignal<string | null>(null);
  // What the worker does tells when the list is another.
  const keys = [base, useActivity(worker)];
  const load = useLoad((signal) => request<Page>("get", base, { query: { limit: PAGE }, signal }), keys);
  useEffect(() => {
    older.value = [];
    next.value = load.value?.next_cursor ?? null;
  }, [load.value]);
  const more = async () => {
    try {
      const page = await request<Page>("get", base, { query: { limit: PAGE, cursor: next.peek() } });
      older.value = [...older.peek(), ...page.items];
      next.value = page.next_cursor;
    } catch (error) {
      toastFailure("The older inputs were not read.", error);
    }
  };
  return (
    <div class="scrolls">
      <Composer live={live} worker={worker} onSent={load.reload} />
      <Loaded load={load} lines={6}>
        {({ items }) =>
          items.length === 0 ? (
            <Empty icon="upload" title="No input yet">
              <p>An input is a message for the worker. It waits here until the turn before it ended.</p>
              <CommandLine command={`skep worker send ${live.ref.worker_id} MESSAGE`} />
            </Empty>
          ) : (
            <>
              <table class="plain">
                <thead>
                  <tr>
                    <th scope="col">Input</th>
                    <th scope="col">State</th>
                    <th scope="col">Message</th>
                    <th scope="col" class="roomy-only">
                      Sender
                    </th>
                    <th scope="col">Accepted</th>
                    <th scope="col" class="number roomy-only">
                      Waited
                    </th>
                    <th scope="col" class="number">
                      Took
                    </th>
                    <th scope="col">
                      <span class="unseen">Actions</span>
                    </th>
                  </tr>
                </thead>
                <tbody>
                  {[...items, ...older.value].map((one) => (
                    <Line key={one.input_id} one={one} live={live} onCancelled={load.reload} />
                  ))}
                </tbody>
              </table>
              {next.value && <Button onClick={more}>Older inputs</Button>}
            </>
          )
        }
      </Loaded>
    </div>
  );
}

function Line({ one, live, onCancelled }: { one: Summary; live: LiveWorker; onCancelled: () => void }) {
  const between = (from?: string | null, to?: string | null) =>
    from && to ? duration(Math.max(0, Date.parse(to) - Date.parse(from))) : "–";
  const cancel = async () => {
    try {
      await request("delete", `${workerPath(live.ref)}/inputs/${one.input_id}`);
      toast({ text: "The input was cancelled." });
      onCancelled();
    } catch (error) {
      toastFailure("The input was not cancelled.", error);
    }
  };
  const turn = `${paths.worker(live.ref.runtime_id, live.ref.worker_id, "transcript")}#turn=${one.input_id}`;
  return (
    <tr>
      <td data-label="Input">
        <a href={turn} title="Show its turn">
          <Id id={one.input_id} />
        </a>
      </td>
      <td data-label="State">
        {one.ending ? (
          <EndingState ending={one.ending} />
        ) : one.state === "running" ? (
          <State word="Running" tone="busy" shape="turning" />
        ) : (
          <State word="Queued" tone="idle" shape="ring" />
        )}
        {one.attempt > 1 && <span class="badge warn">attempt {one.attempt}</span>}
      </td>
      <td data-label="Message">
        {size(one.bytes)} <bdi class="muted small">{one.content_type}</bdi>
      </td>
      <td class="roomy-only" data-label="Sender">
        {one.sender ? <Id id={one.sender} /> : <span class="muted">–</span>}
      </td>
      <td data-label="Accepted">
        <Time at={one.accepted_at} />
      </td>
      <td class="number roomy-only" data-label="Waited">
        {between(one.accepted_at, one.started_at)}
      </td>
      <td class="number" data-label="Took">
        {between(one.started_at ?? one.accepted_at, one.ended_at)}
      </td>
      <td class="end">
        {one.state !== "done" && (
          <Button quiet icon="close" needs="operator" onClick={cancel}>
            Cancel
          </Button>
        )}
      </td>
    </tr>
  );
}
