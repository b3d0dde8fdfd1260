// One component of a runtime: what it is, what it imports, and the workers that run it.

import { useEffect } from "preact/hooks";

import { type Schemas, call, request } from "../api/client";
import { onCompiled, runtimes } from "../api/fleet";
import { Problem } from "../api/problem";
import { source } from "../flows/new-worker-source";
import { Button } from "../parts/button";
import { confirm } from "../parts/dialog";
import { CommandLine, CopyButton, Empty } from "../parts/empty";
import { Loaded, useLoad } from "../parts/load";
import { Id, Name } from "../parts/name";
import { Page } from "../parts/page";
import { WorkerState } from "../parts/state";
import { Time } from "../parts/time";
import { toast, toastFailure } from "../parts/toast";
import { go, paths } from "../router";
import type { PageProps } from "../shell/pages";
import { exactBytes, grouped } from "../text/bytes";
import { duration } from "../text/time";
import { Imports, Packages, abiOf } from "../wasm/imports";
import { CompiledState } from "./component-state";
import "../parts/plain-table.css";
import "./component.css";

type ComponentView = Schemas["ComponentView"];
type WorkerEntry = Schemas["WorkerEntry"];

interface Users {
  items: WorkerEntry[];
  next_cursor: string | null;
  counts?: { total: number };
}

/** Workers shown at first. */
const SHOWN = 50;

export default function ComponentPage({ route }: PageProps<"component">) {
  const { runtime: runtimeId, digest } = route;
  const load = useLoad<ComponentView | null>(
    async (signal) => {
      try {
        return await call("get", "/api/runtimes/{runtime_id}/components/{digest}", {
          path: { runtime_id: runtimeId, digest },
          signal,
        });
      } catch (error) {
        if (error instanceof Problem && error.status === 404) return null;
        throw error;
      }
    },
    [runtimeId, digest],
  );
  const users = useLoad<Users | null>(
    async (signal) => {
      try {
        return await request<Users>("get", "/api/runtimes/{runtime_id}/workers", {
          path: { runtime_id: runtimeId },
          query: { component: digest, limit: SHOWN },
          signal,
        });
      } catch (error) {
        // A host that cannot filter by component yet.
        if (error instanceof Problem && (error.status === 400 || error.status === 404)) return null;
        throw error;
      }
    },
    [runtimeId, digest],
  );
  useEffect(
    () => onCompiled((done) => done.digest === digest && load.reload()),
    [runtimeId, digest],
  );
  const runtime = runtimes.value?.find((one) => one.runtime_id === runtimeId);
  const component = load.value;
  const inUse = Boolean(users.value?.items.length);

  const remove = async () => {
    const yes = await confirm({
      title: "Remove the component?",
      body: (
        <p>
          The runtime forgets <Id id={digest} /> and its machine code. No worker uses it. To run it
          again, upload it again.
        </p>
      ),
      action: "Remove",
      danger: true,
    });
    if (!yes) return;
    try {
      await call("delete", "/api/runtimes/{runtime_id}/components/{digest}", {
        path: { runtime_id: runtimeId, digest },
      });
      toast({ text: "The component was removed." });
      go(paths.components());
    } catch (error) {
      toastFailure("The component was not removed.", error);
    }
  };
  const create = () => {
    if (component) source.value = { kind: "stored", runtimeId, component };
  };

  return (
    <Page
      title={<Id id={digest} />}
      named={`Component ${digest.slice(7, 19)}`}
      trail={[
        { words: "Components", to: paths.components() },
        ...(runtime
          ? [{ words: <Name text={runtime.display_name} />, to: paths.runtime(runtimeId) }]
          : []),
      ]}
      beside={component && <span class="badge calm">{component.kind}</span>}
      actions={
        component && (
          <>
            <Button
              quiet
              icon="trash"
              needs="operator"
              disabled={inUse && "A worker uses it. Remove or update the worker first."}
              onClick={remove}
            >
              Remove
            </Button>
            <Button first icon="plus" needs="operator" onClick={create}>
              New worker
            </Button>
          </>
        )
      }
    >
      <Loaded load={load} lines={6}>
        {(view) =>
          view ? (
            <div class="component-page">
              <Facts component={view} />
              <section class="card">
                <header>
                  <h2>Workers that run it</h2>
                  <span class="grow" />
                  {users.value?.counts && (
                    <span class="muted small">{grouped(users.value.counts.total)}</span>
                  )}
                </header>
                <Loaded load={users}>{(list) => <UserList list={list} create={create} />}</Loaded>
              </section>
              <section class="card">
                <header>
                  <h2>Imports</h2>
                </header>
                <div class="inside">
                  <Imports imports={view.imports} abi={abiOf(view.imports)} />
                </div>
              </section>
              <section class="card">
                <header>
                  <h2>Exports</h2>
                </header>
                <div class="inside">
                  {view.exports.length ? (
                    <Packages names={view.exports} />
                  ) : (
                    <p class="muted">It exports nothing.</p>
                  )}
                </div>
              </section>
            </div>
          ) : (
            <Empty icon="components" title="Not here">
              <p>
                This runtime has no component with this digest. It may have been removed, or never
                uploaded to this runtime.
              </p>
              <CommandLine command="skep component push FILE" />
              <a href={paths.components()}>All components</a>
            </Empty>
          )
        }
      </Loaded>
    </Page>
  );
}

function Facts({ component }: { component: ComponentView }) {
  const { digest, bytes, compile_ms, compiled_bytes, created_at } = component;
  return (
    <section class="card">
      <dl class="facts inside">
        <dt>Digest</dt>
        <dd class="row">
          <code class="whole">{digest}</code>
          <CopyButton text={digest} label="Copy the digest" />
        </dd>
        <dt>Size</dt>
        <dd>{exactBytes(bytes)}</dd>
        <dt>Machine code</dt>
        <dd class="row wrap">
          <CompiledState component={component} />
          <span class="muted">
            {[
              compiled_bytes == null ? null : exactBytes(compiled_bytes),
              compile_ms == null
                ? null
                : `${component.compiled === "pending" ? "for" : "in"} ${duration(compile_ms)}`,
            ]
              .filter(Boolean)
              .join(" · ")}
          </span>
        </dd>
        <dt>Stored</dt>
        <dd>
          <Time at={created_at} />
        </dd>
      </dl>
    </section>
  );
}

function UserList({ list, create }: { list: Users | null; create: () => void }) {
  if (list === null) {
    return <p class="inside muted">This host cannot list the workers of a component.</p>;
  }
  if (list.items.length === 0) {
    return (
      <Empty icon="workers" title="No worker runs it">
        <p>A worker made of it has its own directory, state and transcript.</p>
        <Button icon="plus" needs="operator" onClick={create}>
          New worker
        </Button>
      </Empty>
    );
  }
  return (
    <>
      <table class="plain">
        <thead>
          <tr>
            <th scope="col">Worker</th>
            <th scope="col">State</th>
            <th scope="col" class="number">
              Queued
            </th>
            <th scope="col" class="end">
              Changed
            </th>
          </tr>
        </thead>
        <tbody>
          {list.items.map((one) => (
            <tr key={one.worker_id}>
              <th scope="row" data-label="Worker">
                <a href={paths.worker(one.runtime_id, one.worker_id)}>
                  {one.display_ref ? <Name text={one.display_ref} /> : <Id id={one.worker_id} />}
                </a>
              </th>
              <td data-label="State">
                <WorkerState observed={one.observed} />
              </td>
              <td class="number" data-label="Queued">
                {grouped(one.queued_inputs)}
              </td>
              <td class="end" data-label="Changed">
                <Time at={one.updated_at} />
              </td>
            </tr>
          ))}
        </tbody>
      </table>
      {list.next_cursor && <p class="inside muted">The first {SHOWN} are shown.</p>}
    </>
  );
}
