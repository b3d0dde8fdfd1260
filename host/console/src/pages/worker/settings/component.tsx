// The component of a worker: switching to another one at a turn boundary, and back.

import { useSignal } from "@preact/signals";

import { type Schemas, request } from "../../../api/client";
import { sentence } from "../../../api/problem";
import { TryUpdateButton } from "../../../flows/try-update-button";
import { Button } from "../../../parts/button";
import { Field } from "../../../parts/field";
import { Loaded, useLoad } from "../../../parts/load";
import { Id, shortId } from "../../../parts/name";
import { Time } from "../../../parts/time";
import { paths } from "../../../router";
import { bytes } from "../../../text/bytes";
import { relative } from "../../../text/time";
import { rollback } from "../actions";
import type { LiveWorker, Worker } from "../live";
import { Setting } from "../settings";
import { patchWithUndo } from "./change";

type Component = Schemas["ComponentView"];

export function ComponentSetting({ live, worker }: { live: LiveWorker; worker: Worker }) {
  const load = useLoad(
    (signal) =>
      request<Schemas["ListingOfComponentView"]>(
        "get",
        `/api/runtimes/${encodeURIComponent(worker.runtime_id)}/components`,
        { signal },
      ),
    [worker.runtime_id],
  );
  const wanted = useSignal("");
  const problem = useSignal<string | null>(null);
  const update = async () => {
    problem.value = null;
    const { component, config } = worker;
    try {
      await patchWithUndo(
        live,
        { component: wanted.peek() },
        { component, ...(config ? { config } : {}) },
        "Updated. It takes effect between two turns.",
      );
      wanted.value = "";
    } catch (error) {
      problem.value = sentence(error);
    }
  };
  return (
    <Setting
      title="Component"
      about="A new one takes effect between two turns. The one before is kept for going back."
    >
      <dl class="facts">
        <dt>Now</dt>
        <dd>
          <a href={paths.component(worker.runtime_id, worker.component)}>
            <Id id={worker.component} whole />
          </a>
        </dd>
        {worker.previous && (
          <>
            <dt>Before</dt>
            <dd>
              <Id id={worker.previous.component} whole />
            </dd>
          </>
        )}
      </dl>
      <Loaded load={load} lines={1}>
        {({ items }) => {
          const others = items.filter((one) => one.digest !== worker.component);
          if (others.length === 0)
            return (
              <div class="row wrap">
                <span class="muted grow">The runtime has no other component.</span>
                <TryUpdateButton worker={worker} onUpdated={(changed) => live.put(changed)} />
              </div>
            );
          const chosen = others.find((one) => one.digest === wanted.value);
          return (
            <>
              <Field
                label="Another component"
                error={problem.value}
                help={chosen && <About component={chosen} worker={worker} />}
              >
                {(ids) => (
                  <select
                    {...ids}
                    value={wanted.value}
                    onChange={(event) => (wanted.value = event.currentTarget.value)}
                  >
                    <option value="">Choose…</option>
                    {others.map((one) => (
                      <option key={one.digest} value={one.digest} disabled={one.kind !== worker.kind}>
                        {shortId(one.digest)} · {one.kind} · {bytes(one.bytes)} ·{" "}
                        {relative(Date.parse(one.created_at), Date.now())}
                      </option>
                    ))}
                  </select>
                )}
              </Field>
              <div class="row wrap">
                <Button
                  needs="operator"
                  disabled={wanted.value ? null : "Choose a component first."}
                  onClick={update}
                >
                  Update
                </Button>
                <TryUpdateButton
                  worker={worker}
                  component={wanted.value || undefined}
                  onUpdated={(changed) => live.put(changed)}
                />
                <Button
                  icon="undo"
                  needs="operator"
                  disabled={worker.previous ? null : "There is nothing to go back to."}
                  onClick={() => rollback(live)}
                >
                  Roll back
                </Button>
              </div>
            </>
          );
        }}
      </Loaded>
    </Setting>
  );
}

function About({ component, worker }: { component: Component; worker: Worker }) {
  const isOther = component.kind !== worker.kind;
  return (
    <>
      Stored <Time at={component.created_at} />, {bytes(component.bytes)}
      {isOther && `; it is a ${component.kind}, the worker a ${worker.kind}`}
    </>
  );
}
