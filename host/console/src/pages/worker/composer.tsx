// The composer: an input as text, JSON, bytes, a file, or a command's arguments, and its answer.

import { useId, useLayoutEffect, useRef } from "preact/hooks";
import { type Signal, useSignal } from "@preact/signals";

import { type Schemas, idempotencyKey, request, workerPath } from "../../api/client";
import { offline } from "../../api/connection";
import { Problem, isAbort } from "../../api/problem";
import { upload } from "../../api/upload";
import { Body } from "../../parts/body";
import { Button } from "../../parts/button";
import { Field, Segments } from "../../parts/field";
import { LongText } from "../../parts/guest-text";
import { Icon } from "../../parts/icon";
import { keysText } from "../../parts/keys";
import { ProblemView } from "../../parts/problem";
import { bytes as size } from "../../text/bytes";
import { JsonError, parseJson, pretty } from "../../text/json";
import { type Draft, type Mode, clearDraft, draftFor, isEmptyDraft, readDraft, typeOf } from "./draft";
import { EndingState } from "./entry-row";
import type { LiveWorker, Worker } from "./live";

/** Time that a sending waits for the outcome, in milliseconds. A longer turn is shown as accepted. */
const WAIT_MS = 10_000;

type Sent = Schemas["Sent"];
type Done = Extract<Sent, { outcome: unknown }>;

const FIELD = "composer-field";

/** Moves the keyboard to the composer, opening it. */
export function focusComposer(): void {
  const field = document.getElementById(FIELD);
  // Closed, it is a button.
  if (field instanceof HTMLButtonElement) field.click();
  else field?.focus();
}

export interface ComposerProps {
  live: LiveWorker;
  worker: Worker;
  /** True below the transcript: one line until it is used. */
  compact?: boolean;
  onSent?: () => void;
}

export function Composer({ live, worker, compact = false, onSent }: ComposerProps) {
  const isCommand = worker.kind === "command";
  const draft = draftFor(`${worker.runtime_id}/${worker.worker_id}`, isCommand);
  const open = useSignal(!compact);
  const more = useSignal(false);
  const sending = useSignal<AbortController | null>(null);
  const answer = useSignal<Sent | null>(null);
  const problem = useSignal<unknown>(null);
  const ready = readDraft(draft);
  const isEmpty = isEmptyDraft(draft);
  const refused =
    worker.desired === "stopped"
      ? "The worker is stopped. Start it first."
      : live.removed.value
        ? "The worker was removed."
        : "problem" in ready
          ? ready.problem
          : null;

  const send = async () => {
    if ("problem" in ready || refused || sending.peek()) return;
    const left = (sending.value = new AbortController());
    problem.value = null;
    answer.value = null;
    const key = draft.key.value.trim() || idempotencyKey();
    // The key stays in the form until the host has answered: sending again is then harmless.
    const isOwn = draft.key.value.trim() !== "";
    try {
      const options = {
        headers: { "content-type": ready.contentType, "idempotency-key": key },
        query: draft.waits.value ? { wait_ms: WAIT_MS } : {},
        signal: left.signal,
      };
      const path = `${workerPath(worker)}/inputs`;
      answer.value =
        ready.body instanceof File
          ? await upload<Sent>("post", path, ready.body, options)
          : await request<Sent>("post", path, { ...options, body: ready.body });
      clearDraft(draft);
      onSent?.();
    } catch (error) {
      if (!isAbort(error)) {
        problem.value = error;
        // An answer that was lost may have been an acceptance: the same key finds it.
        if (!(error instanceof Problem) && !isOwn) draft.key.value = key;
      }
    } finally {
      sending.value = null;
    }
  };

  // The keyboard stays where the composer was.
  const closed = () => {
    open.value = false;
    requestAnimationFrame(() => document.getElementById(FIELD)?.focus());
  };
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      void send();
    } else if (event.key === "Escape" && compact && open.value) {
      closed();
    }
  };
  if (!open.value) {
    return (
      <div class="composer closed">
        <button type="button" id={FIELD} class="composer-line" onClick={() => (open.value = true)}>
          <Icon name="right" />
          <span class="grow">{isEmpty ? "Send an input…" : "Continue the input…"}</span>
          <kbd>i</kbd>
        </button>
      </div>
    );
  }
  return (
    <section class={`composer${compact ? " docked" : ""}`} aria-label="Composer" onKeyDown={onKeyDown}>
      <div class="row wrap">
        <Segments
          label="Input as"
          value={draft.mode.value}
          options={modes(isCommand)}
          onChange={(mode) => (draft.mode.value = mode)}
        />
        <span class="grow" />
        {draft.mode.value === "json" && <Format draft={draft} />}
        {compact && <Button quiet icon="down" label="Close the composer" keys="Esc" onClick={closed} />}
      </div>
      <ModeFields draft={draft} focus={compact} />
      {more.value && <Options draft={draft} />}
      <div class="row wrap">
        <Button
          first
          icon="right"
          needs="operator"
          disabled={sending.value ? "It is being sent." : refused}
          keys={keysText("Mod+Enter")}
          onClick={send}
        >
          Send
        </Button>
        {sending.value && <Button onClick={() => sending.value?.abort()}>Stop waiting</Button>}
        <label class="row">
          <input
            type="checkbox"
            checked={draft.waits.value}
            onChange={(event) => (draft.waits.value = event.currentTarget.checked)}
          />
          Wait for the answer
        </label>
        <Button
          quiet
          expanded={more.value}
          icon={more.value ? "up" : "down"}
          onClick={() => void (more.value = !more.value)}
        >
          Options
        </Button>
        <span class="grow" />
        {refused && draft.mode.value !== "file" && <span class="muted small clip">{refused}</span>}
        {!refused && !("problem" in ready) && (
          <span class="muted small">
            {size(ready.body instanceof File ? ready.body.size : ready.body.length)}
          </span>
        )}
        {offline.value && <span class="muted small">The draft is kept.</span>}
      </div>
      {problem.value !== null && <ProblemView error={problem.value} />}
      {answer.value && <Answer sent={answer.value} onClose={() => (answer.value = null)} />}
    </section>
  );
}

function modes(isCommand: boolean): { value: Mode; words: string }[] {
  return [
    ...(isCommand ? [{ value: "form" as const, words: "Command" }] : []),
    { value: "text", words: "Text" },
    { value: "json", words: "JSON" },
    { value: "hex", words: "Hex" },
    { value: "file", words: "File" },
  ];
}

function ModeFields({ draft, focus }: { draft: Draft; focus: boolean }) {
  const first = useRef<HTMLElement>(null);
  // Before the next key arrives: what is typed right after `i` is part of the message.
  useLayoutEffect(() => {
    if (focus) first.current?.focus();
  }, []);
  const take = (element: HTMLElement | null) => void (first.current = element);
  switch (draft.mode.value) {
    case "text":
    case "json":
      return (
        <Area
          id={FIELD}
          label="Message"
          value={draft.text}
          take={take}
          placeholder={draft.mode.value === "json" ? '{"any": "JSON"}' : "Text"}
        />
      );
    case "hex":
      return <Area id={FIELD} label="Bytes" value={draft.hex} take={take} placeholder="de ad be ef" />;
    case "file":
      return (
        <label class="file-field">
          <span class="unseen">File</span>
          <input
            id={FIELD}
            ref={take}
            type="file"
            onChange={(event) => (draft.file.value = event.currentTarget.files?.[0] ?? null)}
          />
        </label>
      );
    case "form":
      return (
        <div class="command-form">
          <Area
            id={FIELD}
            label="Arguments, one on each line"
            value={draft.args}
            take={take}
            placeholder="--verbose"
          />
          <Area label="Environment, NAME=value" value={draft.env} placeholder="LANG=C.UTF-8" />
          <Area label="Standard input" value={draft.stdin} placeholder="" />
        </div>
      );
  }
}

interface AreaProps {
  id?: string;
  label: string;
  value: Signal<string>;
  placeholder: string;
  take?: (element: HTMLElement | null) => void;
}

function Area({ id, label, value, placeholder, take }: AreaProps) {
  const own = useId();
  return (
    <div class="field">
      <label class="small muted" for={id ?? own}>
        {label}
      </label>
      <textarea
        id={id ?? own}
        ref={take ?? null}
        class="mono"
        rows={Math.min(12, Math.max(3, value.value.split("\n").length))}
        spellcheck={false}
        autocomplete="off"
        placeholder={placeholder}
        value={value.value}
        onInput={(event) => (value.value = event.currentTarget.value)}
      />
    </div>
  );
}

function Format({ draft }: { draft: Draft }) {
  return (
    <Button
      quiet
      onClick={() => {
        try {
          draft.text.value = pretty(parseJson(draft.text.value));
        } catch (error) {
          // The reason stands beside the button that sends.
          if (!(error instanceof JsonError)) throw error;
        }
      }}
    >
      Format
    </Button>
  );
}

function Options({ draft }: { draft: Draft }) {
  return (
    <div class="two-fields">
      <Field label="Content type" help="The worker gets it with the message.">
        {(ids) => (
          <input
            {...ids}
            class="mono"
            placeholder={typeOf(draft)}
            value={draft.contentType.value}
            onInput={(event) => (draft.contentType.value = event.currentTarget.value)}
          />
        )}
      </Field>
      <Field
        label="Idempotency key"
        help="Sent twice with one key, an input is handled once. Empty: a new key each time."
      >
        {(ids) => (
          <span class="row">
            <input
              {...ids}
              class="mono grow"
              maxLength={256}
              value={draft.key.value}
              onInput={(event) => (draft.key.value = event.currentTarget.value)}
            />
            <Button
              icon="retry"
              label="Make a key"
              onClick={() => void (draft.key.value = idempotencyKey())}
            />
          </span>
        )}
      </Field>
    </div>
  );
}

/** The outcome of what was sent, as far as it is known. */
function Answer({ sent, onClose }: { sent: Sent; onClose: () => void }) {
  return (
    <div class="answer" role="status">
      <div class="row">
        {"outcome" in sent ? (
          <EndingState ending={sent.outcome} />
        ) : (
          <span class="grow">Accepted as entry {sent.seq}; the outcome will stand in the transcript.</span>
        )}
        <span class="grow" />
        <Button quiet icon="close" label="Close the answer" onClick={onClose} />
      </div>
      {"outcome" in sent && <Outcome done={sent} />}
    </div>
  );
}

function Outcome({ done }: { done: Done }) {
  const { error, output } = done;
  return (
    <>
      {error && <p class="error">{error.message}</p>}
      {error?.stderr && error.stderr.length > 0 && <LongText text={error.stderr.join("\n")} />}
      {output && "exit_code" in output ? (
        <div class="stack">
          <span class={`badge ${output.exit_code === 0 ? "good" : "warn"}`}>
            exit {String(output.exit_code)}
          </span>
          <Stream name="Standard output" text={output.stdout} base64={output.stdout_base64} />
          <Stream name="Standard error" text={output.stderr} base64={output.stderr_base64} />
          {output.truncated && <span class="badge warn">cut by its limit</span>}
        </div>
      ) : (
        output && <Body content={output} />
      )}
    </>
  );
}

function Stream({
  name,
  text,
  base64,
}: {
  name: string;
  text?: string | null | undefined;
  base64?: string | null | undefined;
}) {
  if (!text && !base64) return null;
  return (
    <div>
      <h3 class="small muted">{name}</h3>
      <Body content={{ body: text, body_base64: base64 }} />
    </div>
  );
}
