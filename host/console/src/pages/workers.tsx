// All workers: a table that is paged, sorted and filtered at the host, kept current by the stream
// of changes, with changes of many at once.

import "./workers/workers.css";

import type { ComponentType } from "preact";
import { useEffect, useMemo, useRef } from "preact/hooks";
import { useComputed, useSignal } from "@preact/signals";

import { offline } from "../api/connection";
import { runtimes } from "../api/fleet";
import { FILTERS, STATES, type StateName, type WorkerFilter, isFiltered, rowKey } from "../api/workers";
import { chooseFile } from "../flows/new-worker-source";
import { Button } from "../parts/button";
import { CommandLine, Empty } from "../parts/empty";
import { Icon } from "../parts/icon";
import { useCommands } from "../parts/keys";
import { Skeleton } from "../parts/load";
import { Page } from "../parts/page";
import { ProblemView } from "../parts/problem";
import { type Sort, Table } from "../parts/table";
import { toastFailure } from "../parts/toast";
import { go, hash, paths, setHash } from "../router";
import { grouped } from "../text/bytes";
import type { BulkProps } from "./workers/bulk";
import { columns } from "./workers/columns";
import { Filters } from "./workers/filters";
import { WorkerList } from "./workers/list";

/** The order without a choice: what changed last comes first. */
const NEWEST: Sort = { by: "updated_at", descending: true };

/** Time between typing and asking the host, in milliseconds. */
const TYPING_MS = 150;

function filterOf(values: Readonly<Record<string, string>>): WorkerFilter {
  return Object.fromEntries(FILTERS.flatMap((name) => (values[name] ? [[name, values[name]]] : [])));
}

export default function WorkersPage() {
  const list = useMemo(() => new WorkerList(), []);
  const chosen = useSignal<ReadonlySet<string>>(new Set());
  const everything = useSignal(false);
  const filter = useComputed(() => filterOf(hash.value));
  const sort = useComputed<Sort>(() => {
    const by = hash.value["sort"];
    return by ? { by, descending: hash.value["order"] === "desc" } : NEWEST;
  });
  const asked = JSON.stringify([filter.value, sort.value]);

  useEffect(() => list.follow(), []);
  useEffect(() => {
    chosen.value = new Set();
    everything.value = false;
    list.ask(filter.value, sort.value);
  }, [asked]);

  const search = useRef<HTMLInputElement>(null);
  useCommands([
    { does: "Search workers", keys: "/", group: "Workers", run: () => search.current?.focus() },
    { does: "Refresh the list", keys: "r", group: "Workers", run: () => list.refresh() },
    {
      does: "Clear the choice and the filters",
      keys: "Escape",
      group: "Workers",
      run: () => {
        if (chosen.value.size) chosen.value = new Set();
        else setHash(Object.fromEntries(FILTERS.map((name) => [name, null])));
        everything.value = false;
      },
    },
    ...STATES.map((state) => ({
      does: `Show ${state} workers`,
      group: "Workers",
      run: () => setHash({ state }),
    })),
  ]);

  const { rows } = list;
  const filtered = isFiltered(filter.value);
  const none = rows.begun.value && rows.count.value === 0;
  const names = runtimes.value ?? [];
  const shown = useMemo(() => columns(names.length > 1), [names.length > 1]);

  return (
    <Page
      title="Workers"
      fills
      beside={
        list.matched.value !== null && (
          <span class="muted number" aria-live="polite">
            {grouped(list.matched.value)}
          </span>
        )
      }
      actions={
        <>
          {list.unseen.value > 0 && (
            <Button icon="retry" keys="r" onClick={() => list.refresh()}>
              {grouped(list.unseen.value)} changed
            </Button>
          )}
          <Button first icon="plus" needs="operator" onClick={chooseFile}>
            New worker
          </Button>
        </>
      }
    >
      <div class="worker-tools">
        <Search field={search} />
        <Filters filter={filter.value} runtimes={names} />
      </div>
      <States counts={list.counts.value} now={filter.value.state} />
      {list.absent.value.map((words) => (
        <div key={words} class="problem warn" role="status">
          <Icon name="warn" />
          <p>{words}</p>
        </div>
      ))}
      {rows.error.value !== undefined && !offline.value && (
        <ProblemView error={rows.error.value} retry={() => rows.retry()} />
      )}
      {none && list.absent.value.length > 0 ? (
        // That there are none is not known.
        <Skeleton lines={8} />
      ) : none ? (
        filtered ? (
          <Empty icon="search" title="No worker matches">
            <p>No worker on any runtime matches these filters.</p>
            <Button onClick={() => setHash(Object.fromEntries(FILTERS.map((name) => [name, null])))}>
              Clear the filters
            </Button>
          </Empty>
        ) : (
          <NoWorkers />
        )
      ) : rows.begun.value ? (
        <Table
          label="Workers"
          view={asked}
          rows={rows}
          columns={shown}
          sort={sort.value}
          onSort={({ by, descending }) => setHash({ sort: by, order: descending ? "desc" : "asc" })}
          onOpen={(row) => go(paths.worker(row.runtime_id, row.worker_id))}
          choice={{ chosen }}
          onChooseAll={(all) => {
            everything.value = false;
            chosen.value = all ? list.loadedKeys() : new Set();
          }}
          look={(row) => list.look(row)}
        />
      ) : (
        <Skeleton lines={8} />
      )}
      <Chosen list={list} chosen={chosen} everything={everything} filter={filter.value} keyOf={rowKey} />
    </Page>
  );
}

/** The bar of the chosen workers, loaded when the first one is chosen. */
function Chosen(props: BulkProps) {
  const bar = useSignal<{ view: ComponentType<BulkProps> } | null>(null);
  const some = props.chosen.value.size > 0;
  useEffect(() => {
    if (!some || bar.peek()) return;
    import("./workers/bulk").then(
      ({ BulkBar }) => (bar.value = { view: BulkBar }),
      (error: unknown) => toastFailure("This part of the console could not be loaded.", error),
    );
  }, [some]);
  const View = bar.value?.view;
  return View ? <View {...props} /> : null;
}

function Search({ field }: { field: { current: HTMLInputElement | null } }) {
  const typed = useSignal(hash.peek()["q"] ?? "");
  const timer = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  const q = hash.value["q"] ?? "";
  useEffect(() => {
    // The address changed by other means than typing here.
    if (document.activeElement !== field.current) typed.value = q;
  }, [q]);
  return (
    <div class="search">
      <Icon name="search" />
      <input
        ref={field}
        type="search"
        aria-label="Search by name, id or label"
        placeholder="Search by name, id or label"
        autocomplete="off"
        spellcheck={false}
        maxLength={256}
        value={typed.value}
        onInput={(event) => {
          typed.value = event.currentTarget.value;
          clearTimeout(timer.current);
          timer.current = setTimeout(() => setHash({ q: typed.peek().trim() }), TYPING_MS);
        }}
        onKeyDown={(event) => {
          // Escape leaves the field and keeps its text; the page's Escape clears it.
          if (!["Escape", "Enter", "ArrowDown"].includes(event.key)) return;
          event.preventDefault();
          document.querySelector<HTMLElement>(".table")?.focus();
        }}
      />
      <kbd aria-hidden="true">/</kbd>
    </div>
  );
}

const WORDS: Record<StateName, string> = {
  idle: "Idle",
  busy: "Busy",
  exited: "Exited",
  failed: "Failed",
  stopped: "Stopped",
};

function States({ counts, now }: { counts: Record<string, number> | null; now: string | undefined }) {
  const one = (state: StateName | undefined, words: string, count: number | undefined) => (
    <button
      key={words}
      type="button"
      class={`state-tab ${state ?? "all"}`}
      aria-pressed={now === state}
      onClick={() => setHash({ state: now === state ? null : (state ?? null) })}
    >
      {words} <span class="number">{count === undefined ? "" : grouped(count)}</span>
    </button>
  );
  return (
    <div class="state-tabs" role="group" aria-label="State">
      {one(undefined, "All", counts?.["total"])}
      {STATES.map((state) => one(state, WORDS[state], counts?.[state]))}
    </div>
  );
}

function NoWorkers() {
  return (
    <Empty icon="workers" title="No workers yet">
      <p>
        A worker is a WebAssembly component with its own files, state and transcript. Drop one
        anywhere here, or create it from a terminal.
      </p>
      <Button first icon="upload" needs="operator" onClick={chooseFile}>
        Choose a component
      </Button>
      <CommandLine command="skep worker create counter.wasm --name tally" />
    </Empty>
  );
}
