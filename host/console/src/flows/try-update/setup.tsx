// What to try: the new component, stored or as a file, and how many inputs.

import { useEffect, useRef } from "preact/hooks";
import { type Signal, useSignal } from "@preact/signals";

import { type Schemas, call } from "../../api/client";
import { Field, Segments } from "../../parts/field";
import { Icon } from "../../parts/icon";
import { Loaded, useLoad } from "../../parts/load";
import { Id, shortId } from "../../parts/name";
import { bytes } from "../../text/bytes";
import { neutral } from "../../text/guest";
import { grantOptions } from "../../wasm/grants";
import { Imports } from "../../wasm/imports";
import { type Examined, examine, findComponent, uploadComponent } from "../create-worker-steps";

type WorkerEntry = Schemas["WorkerEntry"];
type ComponentView = Schemas["ComponentView"];

export interface Choice {
  /** Digest of a stored component. */
  component: string | null;
  /** A file that was read and can run. */
  file: (Examined & { ok: true }) | null;
  /** Inputs to replay, at most. */
  count: number;
  /** Also replay with the present component. */
  withPresent: boolean;
}

const COUNTS = ["1", "5", "10", "25", "50"] as const;

/** Returns the digest of the chosen component; a file that the runtime lacks is uploaded. */
export async function storeChoice(
  runtimeId: string,
  { component, file }: Choice,
  signal: AbortSignal,
  progress: (sent: number, total: number) => void,
): Promise<string> {
  if (!file) return component ?? "";
  if (file.digest && (await findComponent(runtimeId, file.digest, signal))) return file.digest;
  const stored = await uploadComponent(runtimeId, file.bytes, progress, signal);
  return stored.digest;
}

export function Setup({ worker, choice }: { worker: WorkerEntry; choice: Signal<Choice> }) {
  const from = useSignal<"stored" | "file">("stored");
  const set = (part: Partial<Choice>) => (choice.value = { ...choice.value, ...part });
  const { count, withPresent } = choice.value;
  return (
    <>
      <div class="row wrap">
        <Segments
          label="The new component"
          value={from.value}
          options={[
            { value: "stored", words: "Stored on this runtime" },
            { value: "file", words: "A file" },
          ]}
          onChange={(value) => {
            from.value = value;
            set({ component: null, file: null });
          }}
        />
      </div>
      {from.value === "stored" ? (
        <Stored worker={worker} chosen={choice.value.component} choose={(component) => set({ component })} />
      ) : (
        <FromFile worker={worker} choose={(file) => set({ file })} />
      )}
      <div class="row wrap replayed">
        <span id="replayed">Inputs to replay, the last</span>
        <Segments
          label="Inputs to replay"
          value={String(count) as (typeof COUNTS)[number]}
          options={COUNTS.map((value) => ({ value, words: value }))}
          onChange={(value) => set({ count: Number(value) })}
        />
      </div>
      <label class="row">
        <input
          type="checkbox"
          checked={withPresent}
          onChange={(event) => set({ withPresent: event.currentTarget.checked })}
        />
        <span>
          Also replay with the present component
          <span class="muted"> · tells the update's differences from those of the moved state</span>
        </span>
      </label>
    </>
  );
}

interface StoredProps {
  worker: WorkerEntry;
  chosen: string | null;
  choose: (digest: string | null) => void;
}

function Stored({ worker, chosen, choose }: StoredProps) {
  const load = useLoad<ComponentView[]>(
    async (signal) => {
      const list = await call("get", "/api/runtimes/{runtime_id}/components", {
        path: { runtime_id: worker.runtime_id },
        signal,
      });
      return list.items;
    },
    [worker.runtime_id],
  );
  return (
    <Loaded load={load} lines={1}>
      {(items) => {
        // A worker keeps its kind for life.
        const others = items
          .filter((one) => one.kind === worker.kind && one.digest !== worker.component)
          .sort((a, b) => b.created_at.localeCompare(a.created_at));
        return others.length === 0 ? (
          <p class="muted">
            The runtime has no other {worker.kind} component. Choose a file, or{" "}
            <code>skep component push FILE</code>.
          </p>
        ) : (
          <Field label="New component" help={<>The worker runs <Id id={worker.component} /> now.</>}>
            {(ids) => (
              <select
                {...ids}
                value={chosen ?? ""}
                onChange={(event) => choose(event.currentTarget.value || null)}
              >
                <option value="">Choose…</option>
                {others.map((one) => (
                  <option key={one.digest} value={one.digest}>
                    {shortId(one.digest)} · {bytes(one.bytes)} · stored {one.created_at.slice(0, 10)}
                    {one.digest === worker.previous?.component ? " · the one before" : ""}
                  </option>
                ))}
              </select>
            )}
          </Field>
        );
      }}
    </Loaded>
  );
}

interface FileProps {
  worker: WorkerEntry;
  choose: (file: (Examined & { ok: true }) | null) => void;
}

function FromFile({ worker, choose }: FileProps) {
  const name = useSignal<string | null>(null);
  const read = useSignal<Examined | null>(null);
  const over = useSignal(false);
  const latest = useRef(0);
  useEffect(() => () => choose(null), []);

  const take = async (file: File | undefined) => {
    if (!file) return;
    latest.current += 1;
    const mine = latest.current;
    name.value = file.name;
    read.value = null;
    choose(null);
    const examined = await examine(file, () => undefined);
    if (mine !== latest.current) return;
    read.value = examined;
    choose(examined.ok && refusal(examined, worker) === null ? examined : null);
  };
  const examined = read.value;
  const why = examined && refusal(examined, worker);
  return (
    <div class="stack">
      <label
        class={over.value ? "file-zone over" : "file-zone"}
        onDragOver={(event) => {
          event.preventDefault();
          over.value = true;
        }}
        onDragLeave={() => (over.value = false)}
        onDrop={(event) => {
          event.preventDefault();
          over.value = false;
          void take(event.dataTransfer?.files[0]);
        }}
      >
        <Icon name="upload" />
        <span>
          {name.value === null ? "Drop the new .wasm here, or choose it" : neutral(name.value)}
          {examined?.ok && <span class="muted"> · {bytes(examined.shape.bytes)}</span>}
        </span>
        <input
          type="file"
          class="unseen"
          accept=".wasm,application/wasm"
          onChange={(event) => void take(event.currentTarget.files?.[0])}
        />
      </label>
      {why && (
        <p class="state bad" role="alert">
          <Icon name="error" /> {neutral(why)}
        </p>
      )}
      {examined?.ok && (
        <details>
          <summary>{examined.shape.imports.length} imports</summary>
          <Imports imports={examined.shape.imports} abi={examined.shape.abi} />
        </details>
      )}
    </div>
  );
}

/** Why a file cannot be the worker's next component; null if it can. */
function refusal(examined: Examined, worker: WorkerEntry): string | null {
  if (!examined.ok) return examined.message;
  const { kind, imports, abi } = examined.shape;
  const refused = grantOptions(imports, abi).unsupported[0];
  if (refused) return `it imports ${refused.name}, which Skep does not offer`;
  if (kind !== worker.kind) {
    return `it is of the kind ${kind ?? "none"}, the worker of the kind ${worker.kind}; a worker keeps its kind`;
  }
  return null;
}
