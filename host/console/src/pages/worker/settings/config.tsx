// The config bundle of a worker: values by key. Bundles never change; a change makes another one.

import { useEffect } from "preact/hooks";
import { useSignal } from "@preact/signals";

import { type Schemas, request } from "../../../api/client";
import { sentence } from "../../../api/problem";
import { may } from "../../../api/session";
import { Button } from "../../../parts/button";
import { DiffLines } from "../../../grants/diff";
import { Loaded, useLoad } from "../../../parts/load";
import { Id } from "../../../parts/name";
import type { LiveWorker, Worker } from "../live";
import { Setting } from "../settings";
import { patchWithUndo } from "./change";

type Values = Record<string, string>;

/** One value that changes: lines of a diff, with the key's name. */
export function diffValues(
  before: Values,
  after: Values,
): { mark: "same" | "removed" | "added"; text: string }[] {
  const keys = [...new Set([...Object.keys(before), ...Object.keys(after)])].sort();
  const lines: { mark: "same" | "removed" | "added"; text: string }[] = [];
  for (const key of keys) {
    const [from, to] = [before[key], after[key]];
    if (from === to) lines.push({ mark: "same", text: `${key}=${to ?? ""}` });
    else {
      if (from !== undefined) lines.push({ mark: "removed", text: `${key}=${from}` });
      if (to !== undefined) lines.push({ mark: "added", text: `${key}=${to}` });
    }
  }
  return lines;
}

export function ConfigSetting({ live, worker }: { live: LiveWorker; worker: Worker }) {
  const runtime = `/api/runtimes/${encodeURIComponent(worker.runtime_id)}/configs`;
  const load = useLoad(
    async (signal): Promise<Values> => {
      if (!worker.config) return {};
      return (await request<Schemas["ConfigView"]>("get", `${runtime}/${worker.config}`, { signal })).values;
    },
    [worker.config],
  );
  return (
    <Setting
      title="Config"
      about={
        <>
          Values that the worker reads.{" "}
          {worker.config ? (
            <>
              Bundle <Id id={worker.config} />.
            </>
          ) : (
            "It has none."
          )}{" "}
          A change takes effect between two turns.
        </>
      }
    >
      <Loaded load={load} lines={2}>
        {(values) => (
          <Edit key={worker.config ?? ""} live={live} worker={worker} values={values} runtime={runtime} />
        )}
      </Loaded>
    </Setting>
  );
}

interface EditProps {
  live: LiveWorker;
  worker: Worker;
  values: Values;
  runtime: string;
}

function Edit({ live, worker, values, runtime }: EditProps) {
  const rows = useSignal<readonly (readonly [string, string])[]>(Object.entries(values));
  const problem = useSignal<string | null>(null);
  useEffect(() => {
    rows.value = Object.entries(values);
  }, [values]);
  const kept = rows.value.filter(([key]) => key !== "");
  const after: Values = Object.fromEntries(kept);
  const isDouble = Object.keys(after).length !== kept.length;
  const diff = diffValues(values, after);
  const isSame = diff.every(({ mark }) => mark === "same");
  const isLocked = !may("operator");
  const set = (at: number, key: string, value: string) => {
    rows.value = rows.value.map((row, index) => (index === at ? [key, value] : row));
  };
  const save = async () => {
    problem.value = null;
    try {
      const store = (of: Values) => request<Schemas["ConfigView"]>("post", runtime, { json: { values: of } });
      const [{ digest }, before] = await Promise.all([
        store(after),
        worker.config ? Promise.resolve({ digest: worker.config }) : store({}),
      ]);
      await patchWithUndo(live, { config: digest }, { config: before.digest }, "The config was changed.");
    } catch (error) {
      problem.value = sentence(error);
    }
  };
  return (
    <>
      {rows.value.length === 0 && <p class="muted">No values.</p>}
      {rows.value.map(([key, value], at) => (
        <div key={at} class="pair">
          <input
            class="mono"
            aria-label="Key"
            placeholder="key"
            readOnly={isLocked}
            value={key}
            onInput={(event) => set(at, event.currentTarget.value, value)}
          />
          <textarea
            class="mono"
            rows={Math.min(8, value.split("\n").length)}
            aria-label={`Value of ${key || "the new key"}`}
            placeholder="value"
            readOnly={isLocked}
            spellcheck={false}
            value={value}
            onInput={(event) => set(at, key, event.currentTarget.value)}
          />
          <Button
            quiet
            icon="close"
            label={`Take ${key || "this"} away`}
            needs="operator"
            onClick={() => void (rows.value = rows.value.filter((_, index) => index !== at))}
          />
        </div>
      ))}
      {!isSame && <DiffLines lines={diff.filter(({ mark }) => mark !== "same")} />}
      {problem.value && (
        <p class="error" role="alert">
          {problem.value}
        </p>
      )}
      <div class="row wrap">
        <Button icon="plus" needs="operator" onClick={() => void (rows.value = [...rows.value, ["", ""]])}>
          Add a value
        </Button>
        <Button
          needs="operator"
          disabled={isDouble ? "Two values have one key." : isSame ? "Nothing was changed." : null}
          onClick={save}
        >
          Save
        </Button>
        {!isSame && (
          <Button quiet onClick={() => void (rows.value = Object.entries(values))}>
            Discard
          </Button>
        )}
      </div>
    </>
  );
}
