// The audit log: who changed what, when, with what outcome, and what it was before and after.

import type { RefObject } from "preact";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";

import { type Schemas, request } from "../api/client";
import { generation, runtimeName, runtimes } from "../api/fleet";
import { Problem, isAbort } from "../api/problem";
import { may } from "../api/session";
import { DiffLines, GrantDiff } from "../grants/diff";
import type { Grants } from "../grants/grants";
import { Button } from "../parts/button";
import { CommandLine, Empty, copy } from "../parts/empty";
import { Field } from "../parts/field";
import { useCommands } from "../parts/keys";
import { Skeleton } from "../parts/load";
import { Id, Name } from "../parts/name";
import { Page } from "../parts/page";
import { ProblemView } from "../parts/problem";
import { RoleNeeded } from "../parts/role-needed";
import { State } from "../parts/state";
import { Time } from "../parts/time";
import { clock } from "../prefs";
import { hash, paths, setHash } from "../router";
import type { PageProps } from "../shell/pages";
import { neutral } from "../text/guest";
import {
  FILTERS,
  type FilterName,
  type Filters,
  diffValues,
  readFilters,
  typedTime,
} from "./audit-filters";
import "../parts/plain-table.css";
import "./audit.css";

/** Fields beyond the present schema: what the change was about. */
type AuditEntry = Schemas["AuditEntry"] & { before?: unknown; after?: unknown };

interface Listing {
  items: AuditEntry[];
  next_cursor: string | null;
}

const ACTIONS = [
  "worker.create",
  "worker.update",
  "worker.rollback",
  "worker.remove",
  "worker.start",
  "worker.stop",
  "worker.fork",
  "component.put",
  "component.remove",
  "config.put",
  "config.remove",
  "file.write",
  "file.remove",
  "file.rename",
  "files.import",
  "token.create",
  "token.revoke",
  "session.end",
  "remote.add",
  "remote.remove",
  "route.add",
  "route.remove",
  "login",
  "logout",
];

/** The caller who has no token: the operator on the host's own machine. */
const LOCAL = "local";

/** Time after the last key before a filter applies, in milliseconds. */
const TYPING_MS = 250;

export default function AuditPage(_: PageProps<"audit">) {
  if (!may("admin")) {
    return (
      <Page title="Audit">
        <RoleNeeded needs="admin" what="The audit log shows every change by every caller." />
      </Page>
    );
  }
  return <Audit />;
}

function Audit() {
  const filters = readFilters(hash.value);
  const query = useMemo(() => queryOf(filters), [JSON.stringify(filters)]);
  const names = useTokenNames();
  const list = useEntries(query);
  const search = useRef<HTMLInputElement>(null);
  useCommands([
    { does: "Filter the audit log", keys: "/", group: "This page", run: () => search.current?.focus() },
  ]);
  const set = FILTERS.some((name) => filters[name]);
  return (
    <Page
      title="Audit"
      actions={
        set && (
          <Button
            quiet
            icon="close"
            onClick={() => setHash(Object.fromEntries(FILTERS.map((name) => [name, null])))}
          >
            Clear the filters
          </Button>
        )
      }
    >
      <div class="stack audit">
        <FilterBar filters={filters} names={names} actor={search} />
        <section class="card" aria-label="Changes">
          {list.error !== undefined && <ProblemView error={list.error} retry={list.reload} />}
          {list.value === null ? (
            list.error === undefined && (
              <div class="inside">
                <Skeleton lines={8} />
              </div>
            )
          ) : list.value.items.length === 0 ? (
            <NoEntries set={set} />
          ) : (
            <>
              <table class="plain">
                <thead>
                  <tr>
                    <th scope="col">Time</th>
                    <th scope="col">Caller</th>
                    <th scope="col">Action</th>
                    <th scope="col">Subject</th>
                    <th scope="col">Outcome</th>
                    <th scope="col">
                      <span class="unseen">Change</span>
                    </th>
                  </tr>
                </thead>
                {list.value.items.map((entry) => (
                  <EntryRows key={entry.seq} entry={entry} names={names} />
                ))}
              </table>
              {list.value.next_cursor && (
                <p class="inside">
                  <Button onClick={list.more}>Show older</Button>
                </p>
              )}
            </>
          )}
        </section>
      </div>
    </Page>
  );
}

/** The API's query; null for a time that cannot be read yet. */
function queryOf(filters: Filters): Record<string, string> {
  const query: Record<string, string> = {};
  for (const name of FILTERS) {
    const value = filters[name];
    if (!value) continue;
    if (name !== "since" && name !== "until") query[name] = value;
    else {
      const time = typedTime(value, clock.peek() === "utc", Date.now());
      if (time) query[name] = time;
    }
  }
  return query;
}

interface Entries {
  value: Listing | null;
  error: unknown;
  reload: () => void;
  more: () => Promise<void>;
}

function useEntries(query: Record<string, string>): Entries {
  const [state, setState] = useState<{ value: Listing | null; error?: unknown }>({ value: null });
  const [asked, setAsked] = useState(0);
  const read = (cursor: string | null, signal?: AbortSignal) =>
    request<Listing>("get", "/api/audit", { query: { ...query, cursor }, signal });
  useEffect(() => {
    const left = new AbortController();
    read(null, left.signal).then(
      (value) => setState({ value }),
      (error: unknown) => {
        if (isAbort(error)) return;
        // A value that no change can have, such as half of an id.
        const none = error instanceof Problem && error.status === 400;
        if (none) setState({ value: { items: [], next_cursor: null } });
        else setState((now) => ({ ...now, error }));
      },
    );
    return () => left.abort();
  }, [query, asked, generation.value]);
  return {
    value: state.value,
    error: state.error,
    reload: () => setAsked((count) => count + 1),
    more: async () => {
      const shown = state.value;
      if (!shown?.next_cursor) return;
      try {
        const next = await read(shown.next_cursor);
        setState({ value: { ...next, items: [...shown.items, ...next.items] } });
      } catch (error) {
        setState({ value: shown, error });
      }
    },
  };
}

/** Names of tokens, where the host tells them. */
function useTokenNames(): ReadonlyMap<string, string> {
  const [names, setNames] = useState<ReadonlyMap<string, string>>(new Map());
  useEffect(() => {
    const left = new AbortController();
    request<{ items: { token_id: string; name?: string | null }[] }>("get", "/api/tokens", {
      signal: left.signal,
    }).then(
      ({ items }) =>
        setNames(new Map(items.flatMap((one) => (one.name ? [[one.token_id, one.name]] : [])))),
      () => undefined,
    );
    return () => left.abort();
  }, []);
  return names;
}

interface FilterBarProps {
  filters: Filters;
  names: ReadonlyMap<string, string>;
  actor: RefObject<HTMLInputElement | null>;
}

function FilterBar({ filters, names, actor }: FilterBarProps) {
  const field = (name: FilterName, label: string, more: { hint?: string; list?: string } = {}) => (
    <Typed
      label={label}
      name={name}
      value={filters[name] ?? ""}
      hint={more.hint}
      list={more.list}
      input={name === "actor" ? actor : undefined}
    />
  );
  return (
    <search class="card filters">
      <div class="field">
        <label class="label" for="audit-action">
          Action
        </label>
        <select
          id="audit-action"
          value={filters.action ?? ""}
          onChange={(event) => setHash({ action: event.currentTarget.value })}
        >
          <option value="">All</option>
          {[...new Set([...ACTIONS, ...(filters.action ? [filters.action] : [])])].map((one) => (
            <option key={one}>{one}</option>
          ))}
        </select>
      </div>
      {field("actor", "Caller", { hint: "Token id", list: "audit-tokens" })}
      {field("runtime_id", "Runtime", { list: "audit-runtimes" })}
      {field("worker_id", "Worker", { hint: "Worker id" })}
      {field("outcome", "Outcome", { hint: "ok, forbidden, …", list: "audit-outcomes" })}
      {field("since", "Since", { hint: "2h, 2026-11-30 14:05" })}
      {field("until", "Until", { hint: "1h, 2026-11-30" })}
      <datalist id="audit-tokens">
        <option value={LOCAL}>the local operator</option>
        {[...names].map(([id, name]) => (
          <option key={id} value={id}>
            {neutral(name)}
          </option>
        ))}
      </datalist>
      <datalist id="audit-runtimes">
        {(runtimes.value ?? []).map((one) => (
          <option key={one.runtime_id} value={one.runtime_id}>
            {neutral(one.display_name)}
          </option>
        ))}
      </datalist>
      <datalist id="audit-outcomes">
        {["ok", "forbidden", "conflict", "worker_not_visible"].map((one) => (
          <option key={one} value={one} />
        ))}
      </datalist>
    </search>
  );
}

interface TypedProps {
  label: string;
  name: FilterName;
  value: string;
  hint: string | undefined;
  list: string | undefined;
  input: RefObject<HTMLInputElement | null> | undefined;
}

/** A field whose value applies a moment after the last key. */
function Typed({ label, name, value, hint, list, input }: TypedProps) {
  const [text, setText] = useState(value);
  const timer = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  useEffect(() => setText(value), [value]);
  useEffect(() => () => clearTimeout(timer.current), []);
  const isTime = name === "since" || name === "until";
  const wrong = isTime && text.trim() !== "" && !typedTime(text, clock.value === "utc", Date.now());
  return (
    <Field label={label} error={wrong ? "2h, 3d, 2026-11-30 or 2026-11-30 14:05" : null}>
      {(ids) => (
        <input
          {...ids}
          ref={input}
          value={text}
          list={list}
          placeholder={hint}
          spellcheck={false}
          autocomplete="off"
          onInput={(event) => {
            const typed = event.currentTarget.value;
            setText(typed);
            clearTimeout(timer.current);
            timer.current = setTimeout(() => setHash({ [name]: typed.trim() }), TYPING_MS);
          }}
        />
      )}
    </Field>
  );
}

function NoEntries({ set }: { set: boolean }) {
  return set ? (
    <Empty icon="search" title="No change matches">
      <p>No audited change fits all of these filters.</p>
    </Empty>
  ) : (
    <Empty icon="audit" title="Nothing was changed yet">
      <p>
        Creating, changing, starting, stopping and removing workers is recorded here, and logins.
        Reading is not; inputs are in each worker's transcript.
      </p>
      <CommandLine command="skep worker create --help" />
    </Empty>
  );
}

function EntryRows({ entry, names }: { entry: AuditEntry; names: ReadonlyMap<string, string> }) {
  const [open, setOpen] = useState(false);
  const id = `audit-${entry.seq}`;
  const hasChange = entry.before != null || entry.after != null;
  const name = entry.token_id ? names.get(entry.token_id) : undefined;
  return (
    <tbody>
      <tr>
        <td data-label="Time">
          <Time at={entry.at} />
        </td>
        <td data-label="Caller">
          <button
            type="button"
            class={entry.token_id === null ? "narrow muted" : "narrow"}
            title={`Only changes by ${entry.token_id ?? "the local operator"}`}
            onClick={() => setHash({ actor: entry.token_id ?? LOCAL })}
          >
            {entry.token_id === null ? (
              "the local operator"
            ) : name ? (
              <Name text={name} />
            ) : (
              <Id id={entry.token_id} />
            )}
          </button>
        </td>
        <th scope="row" data-label="Action">
          <button
            type="button"
            class="narrow"
            title={`Only ${entry.action}`}
            onClick={() => setHash({ action: entry.action })}
          >
            {entry.action}
          </button>
        </th>
        <td data-label="Subject">
          <AuditSubject entry={entry} />
        </td>
        <td data-label="Outcome">
          {entry.outcome === "ok" ? (
            <State word="ok" tone="good" shape="tick" />
          ) : (
            <State word={entry.outcome} tone="bad" shape="cross" />
          )}
        </td>
        <td class="end">
          {hasChange && (
            <button
              type="button"
              class="button quiet"
              aria-expanded={open}
              aria-controls={id}
              onClick={() => setOpen(!open)}
            >
              {open ? "Hide the change" : "Change"}
            </button>
          )}
        </td>
      </tr>
      {hasChange && open && (
        <tr class="change" id={id}>
          <td colSpan={6}>
            <ChangeView before={entry.before} after={entry.after} />
            <Button quiet icon="copy" onClick={() => copy(JSON.stringify(entry, null, 2))}>
              Copy as JSON
            </Button>
          </td>
        </tr>
      )}
    </tbody>
  );
}

function AuditSubject({ entry }: { entry: AuditEntry }) {
  const { runtime_id, worker_id } = entry;
  if (runtime_id && worker_id) {
    return (
      <span class="row wrap subject">
        <a href={paths.worker(runtime_id, worker_id)}>
          <Id id={worker_id} />
        </a>
        <span class="muted">
          on <Name text={runtimeName(runtime_id)} />
        </span>
      </span>
    );
  }
  if (runtime_id) {
    return (
      <a href={paths.runtime(runtime_id)}>
        <Name text={runtimeName(runtime_id)} />
      </a>
    );
  }
  return <span class="muted">this registry</span>;
}

/** What a change was about, before and after. Grants are shown as grants. */
function ChangeView({ before, after }: { before: unknown; after: unknown }) {
  const grants = [grantsIn(before), grantsIn(after)] as const;
  const rest = diffValues(withoutGrants(before), withoutGrants(after));
  return (
    <div class="stack">
      {(grants[0] || grants[1]) && (
        <GrantDiff before={grants[0] ?? { scopes: [] }} after={grants[1] ?? { scopes: [] }} />
      )}
      {rest.length > 0 && <DiffLines lines={rest} />}
    </div>
  );
}

function grantsIn(value: unknown): Grants | null {
  if (typeof value !== "object" || value === null) return null;
  const inner = "grants" in value ? value.grants : value;
  if (typeof inner !== "object" || inner === null || !("scopes" in inner)) return null;
  return Array.isArray(inner.scopes) ? (inner as Grants) : null;
}

function withoutGrants(value: unknown): unknown {
  if (!grantsIn(value)) return value;
  if (typeof value !== "object" || value === null || !("grants" in value)) return null;
  return Object.fromEntries(Object.entries(value).filter(([name]) => name !== "grants"));
}

