// Components by runtime: what is stored, what it needs, and which workers run it. A file dropped
// here, as anywhere, becomes a worker.

import { useEffect, useState } from "preact/hooks";

import { type Schemas, call, request } from "../api/client";
import { onCompiled, runtimes } from "../api/fleet";
import { chooseFile } from "../flows/new-worker-source";
import { Button } from "../parts/button";
import { CommandLine, Empty } from "../parts/empty";
import { Icon } from "../parts/icon";
import { Loaded, Skeleton, useLoad } from "../parts/load";
import { Id, Name } from "../parts/name";
import { Page } from "../parts/page";
import { RuntimeStatus } from "../parts/state";
import { Time } from "../parts/time";
import { toastFailure } from "../parts/toast";
import { hash, paths, setHash } from "../router";
import type { PageProps } from "../shell/pages";
import { bytes, grouped } from "../text/bytes";
import { CompiledState, ImportSummary } from "./component-state";
import "../parts/plain-table.css";
import "./components.css";

type Runtime = Schemas["RuntimeSummary"];
type ComponentView = Schemas["ComponentView"];

interface Listing {
  items: ComponentView[];
  next_cursor: string | null;
}

export default function ComponentsPage(_: PageProps<"components">) {
  const known = runtimes.value;
  const wanted = (hash.value.q ?? "").trim().toLowerCase();
  const shown = known?.filter((one) => one.source !== "local") ?? [];
  return (
    <Page
      title="Components"
      actions={
        <>
          <input
            type="search"
            class="filter"
            aria-label="Filter by digest, kind or import"
            placeholder="Digest, kind or import"
            value={hash.value.q ?? ""}
            spellcheck={false}
            onInput={(event) => setHash({ q: event.currentTarget.value })}
          />
          <Button first icon="upload" needs="operator" onClick={chooseFile}>
            New worker from a file
          </Button>
        </>
      }
    >
      {known === null ? (
        <Skeleton lines={6} />
      ) : shown.length === 0 ? (
        <Empty icon="runtime" title="No runtime">
          <p>Components are kept by runtimes. This registry has none yet.</p>
          <CommandLine command="skep remote add --help" />
        </Empty>
      ) : (
        <div class="stack component-lists">
          {shown.map((one) => (
            <RuntimeComponents
              key={one.runtime_id}
              runtime={one}
              wanted={wanted}
              alone={shown.length === 1}
            />
          ))}
        </div>
      )}
    </Page>
  );
}

function RuntimeComponents(props: { runtime: Runtime; wanted: string; alone: boolean }) {
  const { runtime, wanted, alone } = props;
  const id = runtime.runtime_id;
  const away = runtime.status === "unavailable";
  // Null: not known, and not asked of a runtime that is away.
  const load = useLoad<Listing | null>(
    async (signal) =>
      away
        ? null
        : call("get", "/api/runtimes/{runtime_id}/components", { path: { runtime_id: id }, signal }),
    [id],
  );
  // What is known stays when the runtime goes, and is read again when it is back.
  useEffect(() => {
    if (!away && load.value === null) load.reload();
  }, [away, load.value]);
  useEffect(() => onCompiled((done) => done.runtime_id === id && load.reload()), [id]);

  const more = async (cursor: string) => {
    try {
      const next = await call("get", "/api/runtimes/{runtime_id}/components", {
        path: { runtime_id: id },
        query: { cursor },
      });
      load.set({ items: [...(load.value?.items ?? []), ...next.items], next_cursor: next.next_cursor });
    } catch (error) {
      toastFailure("No more components were loaded.", error);
    }
  };
  return (
    <section class="card" aria-labelledby={`components-${id}`}>
      <header>
        <h2 id={`components-${id}`} class="clip">
          {alone ? "Stored" : <Name text={runtime.display_name} />}
        </h2>
        {!alone && <RuntimeStatus status={runtime.status} />}
        <span class="grow" />
        {load.value && <span class="muted small">{countWords(load.value)}</span>}
      </header>
      {away && (
        <p class="inside away">
          <Icon name="offline" /> Does not answer; last heard{" "}
          <Time at={runtime.unavailable_since} />.{" "}
          {load.value ? "This is what it had." : "Its components are listed again when it does."}
        </p>
      )}
      <Loaded load={load} lines={4}>
        {(listing) => {
          if (listing === null) return null;
          const { items, next_cursor } = listing;
          const found = items.filter((one) => matches(one, wanted));
          if (items.length === 0) return <NoComponents />;
          if (found.length === 0) {
            return (
              <Empty icon="search" title="None of these">
                <p>
                  No component of this runtime has <Name text={wanted} /> in its digest, kind or
                  imports.
                </p>
                <Button onClick={() => setHash({ q: null })}>Show all</Button>
              </Empty>
            );
          }
          return (
            <>
              <table class="plain components">
                <thead>
                  <tr>
                    <th scope="col">Digest</th>
                    <th scope="col">Kind</th>
                    <th scope="col">Used by</th>
                    <th scope="col">Imports</th>
                    <th scope="col">Machine code</th>
                    <th scope="col" class="number">
                      Size
                    </th>
                    <th scope="col" class="end">
                      Stored
                    </th>
                  </tr>
                </thead>
                <tbody>
                  {found.map((one) => (
                    <Row key={one.digest} runtimeId={id} component={one} />
                  ))}
                </tbody>
              </table>
              {next_cursor && (
                <p class="inside">
                  <Button onClick={() => more(next_cursor)}>Show more</Button>
                </p>
              )}
            </>
          );
        }}
      </Loaded>
    </section>
  );
}

function countWords({ items, next_cursor }: Listing): string {
  const count = `${grouped(items.length)}${next_cursor ? "+" : ""}`;
  return items.length === 1 && !next_cursor ? "1 component" : `${count} components`;
}

/** True if a component has a word in its digest, kind or imports. */
export function matches(component: ComponentView, wanted: string): boolean {
  if (wanted === "") return true;
  const { digest, kind, imports } = component;
  return [digest, kind, ...imports].some((text) => text.toLowerCase().includes(wanted));
}

function NoComponents() {
  return (
    <Empty icon="components" title="Drop a component here">
      <p>
        A .wasm file dropped anywhere on this page is read in your browser first: what it imports,
        and what it could be granted. Then it becomes a worker.
      </p>
      <Button icon="upload" needs="operator" onClick={chooseFile}>
        Choose a file
      </Button>
      <CommandLine command="skep component push counter.wasm" />
    </Empty>
  );
}

function Row({ runtimeId, component }: { runtimeId: string; component: ComponentView }) {
  const { digest, kind, imports, bytes: size, created_at } = component;
  return (
    <tr>
      <th scope="row" data-label="Digest">
        <a href={paths.component(runtimeId, digest)}>
          <Id id={digest} />
        </a>
      </th>
      <td data-label="Kind">
        <span class="badge calm">{kind}</span>
      </td>
      <td data-label="Used by">
        <Users runtimeId={runtimeId} digest={digest} />
      </td>
      <td data-label="Imports">
        <ImportSummary imports={imports} />
      </td>
      <td data-label="Machine code">
        <CompiledState component={component} />
      </td>
      <td class="number" data-label="Size">
        {bytes(size)}
      </td>
      <td class="end" data-label="Stored">
        <Time at={created_at} />
      </td>
    </tr>
  );
}

interface Use {
  items: Pick<Schemas["WorkerEntry"], "worker_id" | "display_ref">[];
  next_cursor: string | null;
  counts?: { total: number };
}

/** Uses that are asked for at a time: a page of components would otherwise ask for all at once. */
const AT_ONCE = 4;
let running = 0;
const waiting: (() => void)[] = [];

async function inTurn<T>(work: () => Promise<T>): Promise<T> {
  if (running >= AT_ONCE) await new Promise<void>((go) => waiting.push(go));
  running += 1;
  try {
    return await work();
  } finally {
    running -= 1;
    waiting.shift()?.();
  }
}

/** The workers that use a component: the first by name, and how many more. */
function Users({ runtimeId, digest }: { runtimeId: string; digest: string }) {
  const [use, setUse] = useState<Use | "unknown" | null>(null);
  useEffect(() => {
    const left = new AbortController();
    inTurn(() =>
      request<Use>("get", "/api/runtimes/{runtime_id}/workers", {
        path: { runtime_id: runtimeId },
        query: { component: digest, limit: 2 },
        signal: left.signal,
      }),
    ).then(setUse, () => left.signal.aborted || setUse("unknown"));
    return () => left.abort();
  }, [runtimeId, digest]);
  if (use === null) return <span class="muted">…</span>;
  if (use === "unknown") return <span class="muted">–</span>;
  const [first] = use.items;
  if (!first) return <span class="muted">no worker</span>;
  const total = use.counts?.total;
  const others = total === undefined ? use.items.length - 1 : total - 1;
  const atLeast = total === undefined && use.next_cursor ? "+" : "";
  return (
    <span>
      <a href={paths.worker(runtimeId, first.worker_id)}>
        {first.display_ref ? <Name text={first.display_ref} /> : <Id id={first.worker_id} />}
      </a>
      {others > 0 && (
        <span class="muted">
          {" "}
          and {grouped(others)}
          {atLeast} more
        </span>
      )}
    </span>
  );
}
