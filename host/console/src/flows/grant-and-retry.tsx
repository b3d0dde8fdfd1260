// A denial and the way past it: the grant that the turn needs as a diff, one click that grants it
// and sends the same input again, and Undo.

import { useEffect, useId, useLayoutEffect, useMemo, useRef } from "preact/hooks";
import { useSignal } from "@preact/signals";

import { type Schemas, call, idempotencyKey, request, workerPath } from "../api/client";
import { Problem, sentence } from "../api/problem";
import { may, role } from "../api/session";
import { beyond } from "../grants/ceiling";
import { GrantDiff } from "../grants/diff";
import { askGrantable, grantable } from "../grants/grantable";
import { type Grants, addGrants, canNarrow, sameGrants, suggestGrant } from "../grants/grants";
import { Button } from "../parts/button";
import { Icon } from "../parts/icon";
import { toast } from "../parts/toast";
import { neutral } from "../text/guest";
import {
  type GrantHost,
  type Granted,
  grantAndRetry,
  retry,
  undoGrant,
} from "./grant-retry-run";
import { type Body, bodyOf } from "./replay";
import { sendInput } from "./replay-host";
import "./grant-and-retry.css";

type WorkerEntry = Schemas["WorkerEntry"];
type Entry = Schemas["Entry"];

export interface GrantAndRetryProps {
  /** The worker as the page shows it; a concurrent change of its grants is noticed. */
  worker: WorkerEntry;
  /** The entry of kind `denied`. */
  entry: Entry;
  /** Called with the worker as it is after its grants changed. */
  onChanged?: (worker: WorkerEntry) => void;
  /** Shows the turn of an input. */
  onShow?: (inputId: string) => void;
}

/** Time that the click waits for the turn's end, in milliseconds. */
const WAIT_MS = 10_000;

export function GrantAndRetry({ worker, entry, onChanged, onShow }: GrantAndRetryProps) {
  const everyMethod = useSignal(false);
  const seen = useSignal<Grants>(worker.grants);
  const granted = useSignal<Granted | null>(null);
  const problem = useSignal<unknown>(null);
  const id = useId();
  const key = useMemo(() => idempotencyKey(), [entry.seq]);
  const body = useMemo(() => parse(entry.body), [entry.body]);

  useEffect(askGrantable, []);
  // A change by another person is a conflict as soon as the page hears of it.
  const own = useRef<Grants[]>([]);
  const section = useRef<HTMLElement>(null);
  /** True once a button of this part was pressed. */
  const acted = useRef(false);
  useEffect(() => {
    const now = worker.grants;
    if (sameGrants(now, seen.peek())) return;
    const isOwn = own.current.some((one) => sameGrants(one, now));
    if (!isOwn) granted.value = { step: "conflict", now };
    seen.value = now;
  }, [worker.grants]);

  const suggestion = suggestGrant(body, entry.label ?? null, !everyMethod.value);
  if (suggestion.needs === null) {
    return (
      <div class="grant-retry">
        <p>
          <Icon name="info" /> {suggestion.reason}
        </p>
      </div>
    );
  }
  const { needs } = suggestion;
  const after = addGrants(seen.value, needs);
  const has = sameGrants(after, seen.value);
  const past =
    grantable.value && !has && may("operator") ? beyond(grantable.value, seen.value, needs) : null;
  const why = past?.text ?? null;
  const host = hostOf(worker, (changed) => {
    own.current = [...own.current, seen.peek(), changed.grants];
    onChanged?.(changed);
  });

  const run = async (work: () => Promise<Granted>) => {
    problem.value = null;
    acted.current = true;
    try {
      const done = await work();
      granted.value = done;
      if (done.step === "conflict") {
        seen.value = done.now;
        return;
      }
      if (!sameGrants(done.before, done.after)) {
        toast({
          text: <Done done={done} />,
          undo: async () => {
            await undoGrant(host, done.before, done.after);
            seen.value = done.before;
            granted.value = null;
            toast({ text: "The grant was taken back. What the turn did stays." });
          },
        });
      }
      seen.value = done.after;
    } catch (error) {
      problem.value = error;
    }
  };
  const grant = (again: boolean) =>
    run(async () => {
      const input = again ? await inputOf(worker, entry) : null;
      return grantAndRetry(host, seen.peek(), needs, input, key);
    });
  const resend = () =>
    run(async () => {
      const input = await inputOf(worker, entry);
      return retry(host, seen.peek(), seen.peek(), input, idempotencyKey());
    });

  useLayoutEffect(() => {
    // The button that was pressed is gone; the keyboard goes on with what stands there now.
    const lost = document.activeElement === null || document.activeElement === document.body;
    if (acted.current && lost) section.current?.querySelector("button")?.focus();
  }, [has]);

  const done = granted.value;
  return (
    <section ref={section} class="grant-retry" aria-labelledby={id}>
      <p id={id} class="title">
        {has ? "Granted since" : "Needs a grant"} <bdi class="mono">{neutral(suggestion.wanted)}</bdi>
      </p>
      {done?.step === "conflict" && !has && (
        <div class="problem warn" role="alert">
          <Icon name="warn" />
          <p>
            The grants were changed meanwhile; nothing was granted or sent. Below is the change on
            top of what the worker has now.
          </p>
        </div>
      )}
      {!has && <GrantDiff before={seen.value} after={after} />}
      {!has && canNarrow(body) && (
        <label class="row">
          <input
            type="checkbox"
            checked={everyMethod.value}
            onChange={(event) => (everyMethod.value = event.currentTarget.checked)}
          />
          Every method, not only the one that was tried
        </label>
      )}
      {why && (
        <p class="needs">
          <Icon name="access" /> {why}
        </p>
      )}
      {!may("operator") && (
        <p class="needs">
          <Icon name="access" /> Needs the role operator; you have {role.value}.
        </p>
      )}
      <Refusal error={problem.value} />
      <div class="row wrap">
        {has ? (
          <Button icon="retry" needs="operator" onClick={resend}>
            Send the input again
          </Button>
        ) : (
          <>
            <Button first icon="retry" needs="operator" disabled={why} onClick={() => grant(true)}>
              {done?.step === "conflict" ? "Grant on top and retry" : "Grant and retry"}
            </Button>
            <Button needs="operator" disabled={why} onClick={() => grant(false)}>
              Grant only
            </Button>
          </>
        )}
        {done && <Outcome done={done} onShow={onShow} />}
      </div>
    </section>
  );
}

/** The words of the toast. */
function Done({ done }: { done: Granted }) {
  if (done.step === "sent") {
    const end = done.outcome === null ? "it is running" : done.outcome;
    return <>Granted, and the input was sent again: {end}.</>;
  }
  return <>Granted. It applies from the next turn on.</>;
}

function Outcome({ done, onShow }: { done: Granted; onShow: GrantAndRetryProps["onShow"] }) {
  if (done.step === "unsent") {
    return (
      <span class="state bad" role="status">
        <Icon name="error" /> Not sent again: {sentence(done.error)}
      </span>
    );
  }
  if (done.step !== "sent") return null;
  const { inputId, outcome } = done;
  const good = outcome === "completed";
  return (
    <span class="row" role="status">
      <span class={`state ${good ? "good" : outcome === null ? "busy" : "bad"}`}>
        <Icon name={good ? "check" : outcome === null ? "clock" : "error"} />
        {outcome ?? "running"}
      </span>
      {onShow && (
        <Button quiet onClick={() => onShow(inputId)}>
          Show the turn
        </Button>
      )}
    </span>
  );
}

/** A refusal, with what it would have needed. */
function Refusal({ error }: { error: unknown }) {
  if (error === null || error === undefined) return null;
  return (
    <div class="problem" role="alert">
      <Icon name="error" />
      <p>
        {capital(sentence(error))} {error instanceof Problem && <span class="code">{error.code}</span>}
      </p>
    </div>
  );
}

function capital(text: string): string {
  const whole = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?]$/.test(whole) ? whole : `${whole}.`;
}

function parse(text: string | null | undefined): unknown {
  try {
    return JSON.parse(text ?? "");
  } catch {
    return null;
  }
}

/** Reads the input of the denied turn; null if it is trimmed, or was cut when it was stored. */
async function inputOf(worker: WorkerEntry, denied: Entry): Promise<Body | null> {
  if (!denied.input_id) return null;
  const page = await request<{ items: Entry[] }>("get", `${workerPath(worker)}/transcript`, {
    // The input comes before the denial of its turn.
    query: { kind: "input", input_id: denied.input_id, before: denied.seq, limit: 1 },
  });
  const input = page.items.find((one) => one.kind === "input" && one.input_id === denied.input_id);
  return input && !input.truncated ? bodyOf(input) : null;
}

function hostOf(worker: WorkerEntry, onChanged: (worker: WorkerEntry) => void): GrantHost {
  const path = { runtime_id: worker.runtime_id, worker_id: worker.worker_id };
  return {
    async grants() {
      const now = await call("get", "/api/runtimes/{runtime_id}/workers/{worker_id}", { path });
      return now.grants;
    },
    async replace(before, after) {
      try {
        const now = await request<WorkerEntry>("patch", workerPath(worker), {
          json: { grants: after, grants_before: before },
        });
        onChanged(now);
        return "replaced";
      } catch (error) {
        const isConflict =
          error instanceof Problem && error.code === "conflict" && error.reason === "grants";
        if (isConflict) return "conflict";
        throw error;
      }
    },
    async send(input, key) {
      const sent = await sendInput(worker, input, WAIT_MS, undefined, key);
      return { inputId: sent.input_id, outcome: "outcome" in sent ? sent.outcome : null };
    },
  };
}
