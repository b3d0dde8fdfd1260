// The dialog that makes a worker of a component: what the file is, what it may be granted, and one
// button that uploads, creates and opens it.

import { useEffect, useMemo, useRef } from "preact/hooks";
import { useSignal } from "@preact/signals";

import type { Schemas } from "../api/client";
import { offline } from "../api/connection";
import { runtimes } from "../api/fleet";
import { isAbort } from "../api/problem";
import { askGrantable, grantable } from "../grants/grantable";
import { beyond } from "../grants/ceiling";
import { NO_GRANTS } from "../grants/grants";
import { Button } from "../parts/button";
import { Dialog } from "../parts/dialog";
import { Field } from "../parts/field";
import { Progress } from "../parts/figures";
import { Icon } from "../parts/icon";
import { Id, Name } from "../parts/name";
import { ProblemView } from "../parts/problem";
import { toast } from "../parts/toast";
import { go, hashText, paths } from "../router";
import { bytes, grouped } from "../text/bytes";
import { neutral } from "../text/guest";
import { duration } from "../text/time";
import { type Kind, type Shape } from "../wasm/component";
import { grantOptions } from "../wasm/grants";
import { Imports, abiOf } from "../wasm/imports";
import {
  type Examined,
  createWorker,
  examine,
  findComponent,
  newWorkerId,
  uploadComponent,
} from "./create-worker-steps";
import { GrantsForm } from "./grants-form";
import {
  type Draft,
  EMPTY,
  type Fault,
  type ScopeChoice,
  configOf,
  grantsOf,
  isFault,
  nameOf,
} from "./new-worker";
import type { Source } from "./new-worker-source";
import "./create-worker.css";

type Runtime = Schemas["RuntimeSummary"];

/** What is known of the component, from the file or from the runtime. */
interface Known {
  kind: Kind | undefined;
  abi: Shape["abi"];
  imports: readonly string[];
  bytes: number;
  digest: string | null;
}

const KINDS: Record<Kind, string> = {
  service: "answers inputs one by one and keeps state between them",
  command: "runs from start to exit for each input",
  http: "answers HTTP requests",
};

type Step =
  | { at: "form" }
  | { at: "uploading"; sent: number; total: number; cancel: () => void }
  | { at: "creating" };

export function CreateWorker({ source, onClose }: { source: Source; onClose: () => void }) {
  const shape = useSignal<Shape | null>(null);
  const examined = useSignal<Examined | null>(null);
  const draft = useSignal<Draft>({ ...EMPTY, name: nameFrom(source) });
  const fault = useSignal<Fault | null>(null);
  const error = useSignal<unknown>(null);
  const step = useSignal<Step>({ at: "form" });
  /** Whether the chosen runtime has the component: undefined while it is not known. */
  const stored = useSignal<boolean | undefined>(source.kind === "stored" ? true : undefined);
  const chosen = useSignal<string | null>(source.kind === "stored" ? source.runtimeId : null);
  const workerId = useMemo(() => newWorkerId(Date.now()), [source]);
  const closed = useRef(false);

  useEffect(askGrantable, []);
  useEffect(() => {
    closed.current = false;
    return () => {
      closed.current = true;
      const now = step.peek();
      if (now.at === "uploading") now.cancel();
    };
  }, []);
  useEffect(() => {
    if (source.kind !== "file") return;
    void examine(source.file, (read) => (shape.value = read)).then(
      (result) => (examined.value = result),
    );
  }, [source]);

  const open = (runtimes.value ?? []).filter((one) => one.capabilities.mutate);
  const usable = open.filter((one) => one.status !== "unavailable");
  const runtimeId = chosen.value ?? usable[0]?.runtime_id ?? null;
  const known = knownOf(source, shape.value, examined.value);

  // A digest that the runtime knows is not uploaded.
  useEffect(() => {
    if (source.kind === "stored" || !runtimeId || !known?.digest) return;
    const left = new AbortController();
    stored.value = undefined;
    findComponent(runtimeId, known.digest, left.signal).then(
      (found) => (stored.value = found !== null),
      () => undefined,
    );
    return () => left.abort();
  }, [runtimeId, known?.digest]);

  // The names on offer become choices.
  const offered = grantable.value;
  useEffect(() => {
    if (!offered) return;
    const scopes = (offered.scopes ?? []).map(
      ({ name, rights }): ScopeChoice => ({ name, most: rights, chosen: false, guest: `/${name}`, rights: "ro" }),
    );
    const secrets = (offered.secrets ?? []).map((name) => ({ name, chosen: false }));
    draft.value = { ...draft.peek(), scopes, secrets };
  }, [offered]);

  const change = (part: Partial<Draft>) => {
    draft.value = { ...draft.value, ...part };
    fault.value = null;
  };

  const submit = async () => {
    if (!known || !runtimeId || step.peek().at !== "form") return;
    error.value = null;
    const grants = grantsOf(draft.value);
    if (isFault(grants)) return void (fault.value = grants);
    const past = offered ? beyond(offered, NO_GRANTS, grants) : null;
    if (past) return void (fault.value = past);
    const config = configOf(draft.value.config);
    if (isFault(config)) return void (fault.value = config);
    try {
      const component = await store(runtimeId);
      step.value = { at: "creating" };
      const name = draft.value.name.trim();
      const worker = await createWorker({ runtimeId, component, name, grants, config }, workerId);
      if (closed.current) return;
      onClose();
      go(paths.worker(worker.runtime_id, worker.worker_id) + hashText({ compose: 1 }));
    } catch (failure) {
      step.value = { at: "form" };
      if (isAbort(failure)) {
        if (!closed.current) toast({ text: "The upload was cancelled. Nothing was stored." });
        return;
      }
      error.value = failure;
    }
  };

  /** Returns the digest of the component, uploaded if the runtime has it not. */
  const store = async (to: string): Promise<string> => {
    if (source.kind === "stored") return source.component.digest;
    const file = examined.value;
    if (!file?.ok) throw new Error("The file is still being read.");
    if (file.digest && (stored.value ?? (await findComponent(to, file.digest)) !== null)) {
      return file.digest;
    }
    const abort = new AbortController();
    const cancel = () => abort.abort();
    step.value = { at: "uploading", sent: 0, total: file.bytes.size, cancel };
    const view = await uploadComponent(
      to,
      file.bytes,
      (sent, total) => (step.value = { at: "uploading", sent, total, cancel }),
      abort.signal,
    );
    stored.value = true;
    return view.digest;
  };

  const refused = examined.value && !examined.value.ok ? examined.value.message : null;
  const why = whyNot(known, usable, refused, examined.value === null && source.kind === "file");
  const now = step.value;
  const uploads = source.kind === "file" && stored.value !== true;
  return (
    <Dialog
      wide
      title="New worker"
      onClose={onClose}
      onSubmit={() => void submit()}
      footer={
        now.at === "uploading" ? (
          <>
            <div class="grow">
              <Progress label="Upload" done={now.sent} total={now.total}>
                <span class="small muted">
                  {now.sent < now.total
                    ? `${bytes(now.sent)} of ${bytes(now.total)} sent`
                    : "Sent. The runtime checks it."}
                </span>
              </Progress>
            </div>
            <Button onClick={now.cancel}>Cancel the upload</Button>
          </>
        ) : (
          <>
            <Button onClick={onClose}>Cancel</Button>
            <Button
              first
              type="submit"
              needs="operator"
              disabled={now.at === "creating" ? "The worker is being created." : why}
            >
              {now.at === "creating" ? "Creating…" : uploads ? "Upload and create" : "Create"}
            </Button>
          </>
        )
      }
    >
      <About source={source} known={known} refused={refused} ms={readMs(examined.value)} />
      {error.value !== null && <ProblemView error={error.value} />}
      {offline.value && <p class="state warn">Skep does not answer. What is typed here stays.</p>}
      {known && !refused && (
        <Form
          known={known}
          draft={draft.value}
          fault={fault.value}
          change={change}
          runtimes={open}
          runtimeId={runtimeId}
          choose={source.kind === "stored" ? null : (id) => (chosen.value = id)}
          stored={stored.value}
        />
      )}
    </Dialog>
  );
}

function nameFrom(source: Source): string {
  if (source.kind === "file") return nameOf(source.file.name);
  return source.name ?? "";
}

function readMs(examined: Examined | null): number | null {
  return examined?.ok ? examined.ms : null;
}

function knownOf(source: Source, shape: Shape | null, examined: Examined | null): Known | null {
  if (source.kind === "stored") {
    const { kind, imports, bytes, digest } = source.component;
    return { kind, abi: abiOf(imports), imports, bytes, digest };
  }
  if (!shape) return null;
  return { ...shape, digest: examined?.ok ? examined.digest : null };
}

/** Why the worker cannot be created now; null if it can. */
function whyNot(
  known: Known | null,
  usable: readonly Runtime[],
  refused: string | null,
  reading: boolean,
): string | null {
  if (refused) return "The file cannot run.";
  if (reading || !known) return "The file is being read.";
  if (!known.kind) return "It exports nothing that Skep calls.";
  if (grantOptions(known.imports, known.abi).unsupported.length) return "The runtime would refuse it.";
  if (usable.length === 0) return "No runtime is available.";
  return null;
}

/** The file: its name, size, kind and imports. */
function About(props: { source: Source; known: Known | null; refused: string | null; ms: number | null }) {
  const { source, known, refused, ms } = props;
  const name = source.kind === "file" ? source.file.name : null;
  return (
    <section class="about-file" aria-live="polite">
      <div class="row wrap">
        {name !== null && (
          <strong class="clip">
            <Name text={name} />
          </strong>
        )}
        {known?.kind && <span class="badge calm">{known.kind}</span>}
        {known?.abi === "preview1" && <span class="badge">preview1 module</span>}
        {known && <span class="muted">{bytes(known.bytes)}</span>}
        {known?.digest && <Id id={known.digest} />}
        {ms !== null && <span class="muted small">read in {duration(ms)}</span>}
      </div>
      {refused !== null && (
        <div class="problem" role="alert">
          <Icon name="error" />
          <p>
            {neutral(refused.charAt(0).toUpperCase() + refused.slice(1))}.
          </p>
        </div>
      )}
      {!known && !refused && <p class="muted">Reading…</p>}
      {known && !known.kind && (
        <div class="problem" role="alert">
          <Icon name="error" />
          <p>
            It exports nothing that Skep calls: a worker exports skep:worker/handler, wasi:cli/run,
            skep:worker/web or wasi:http/incoming-handler.
          </p>
        </div>
      )}
      {known?.kind && <p class="muted">{`A ${known.kind} ${KINDS[known.kind]}.`}</p>}
      {known && (
        <details open={grantOptions(known.imports, known.abi).unsupported.length > 0}>
          <summary>
            {known.imports.length === 1 ? "1 import" : `${grouped(known.imports.length)} imports`}{" · "}
            <ImportWords known={known} />
          </summary>
          <Imports imports={known.imports} abi={known.abi} />
        </details>
      )}
    </section>
  );
}

/** The verdict over the imports, in words. */
function ImportWords({ known }: { known: Known }) {
  const { unsupported, http } = grantOptions(known.imports, known.abi);
  if (unsupported.length) {
    return <span class="state bad">{unsupported.length} not offered here</span>;
  }
  return <span class="state good">all offered{http ? ", requests need a grant" : ""}</span>;
}

interface FormProps {
  known: Known;
  draft: Draft;
  fault: Fault | null;
  change: (part: Partial<Draft>) => void;
  runtimes: readonly Runtime[];
  runtimeId: string | null;
  choose: ((id: string) => void) | null;
  stored: boolean | undefined;
}

function Form({ known, draft, fault, change, runtimes, runtimeId, choose, stored }: FormProps) {
  const options = grantOptions(known.imports, known.abi);
  const name = useRef<HTMLInputElement>(null);
  // The dialog opened before there was a form, with the focus on its button to close.
  useEffect(() => name.current?.select(), []);
  const faultOf = (field: Fault["field"]) => (fault?.field === field ? fault.text : null);
  return (
    <>
      <div class="fields">
        <Field label="Name" help="For people. It need not be unique." error={faultOf("name")}>
          {(ids) => (
            <input
              {...ids}
              ref={name}
              value={draft.name}
              maxLength={128}
              autocomplete="off"
              spellcheck={false}
              onInput={(event) => change({ name: event.currentTarget.value })}
            />
          )}
        </Field>
        <Field
          label="Runtime"
          help={
            stored === true
              ? "It has this component: nothing to upload."
              : stored === false
                ? `It does not have this component yet: ${bytes(known.bytes)} to upload.`
                : ""
          }
        >
          {(ids) => (
            <select
              {...ids}
              disabled={!choose}
              value={runtimeId ?? ""}
              onChange={(event) => choose?.(event.currentTarget.value)}
            >
              {runtimes.length === 0 && <option value="">No runtime</option>}
              {runtimes.map((one) => (
                <option
                  key={one.runtime_id}
                  value={one.runtime_id}
                  disabled={one.status === "unavailable"}
                >
                  {neutral(one.display_name)}
                  {one.status === "unavailable" ? " (unavailable)" : ""}
                </option>
              ))}
            </select>
          )}
        </Field>
      </div>
      <GrantsForm options={options} draft={draft} fault={fault} change={change} />
      <details>
        <summary>
          Configuration <span class="muted">· values that the worker reads</span>
        </summary>
        <Field label="Values" help="One KEY=VALUE per line." error={faultOf("config")}>
          {(ids) => (
            <textarea
              {...ids}
              class="mono"
              rows={3}
              spellcheck={false}
              value={draft.config}
              onInput={(event) => change({ config: event.currentTarget.value })}
            />
          )}
        </Field>
      </details>
    </>
  );
}
