// The grants of a worker: what it may reach beyond its own directory. A change is a diff first; one
// that another person made meanwhile is shown instead of being overwritten.

import { useEffect } from "preact/hooks";
import { type Signal, useSignal } from "@preact/signals";

import { Problem, sentence } from "../../../api/problem";
import { may } from "../../../api/session";
import { beyond } from "../../../grants/ceiling";
import { GrantDiff, GrantList } from "../../../grants/diff";
import { askGrantable, grantable } from "../../../grants/grantable";
import {
  type Grants,
  type Rights,
  addGrants,
  httpText,
  parseHttpGrant,
  sameGrants,
  scopeText,
  withoutGrants,
} from "../../../grants/grants";
import { Button } from "../../../parts/button";
import { Field, Segments } from "../../../parts/field";
import { Name } from "../../../parts/name";
import type { LiveWorker, Worker } from "../live";
import { Setting } from "../settings";
import { patchWithUndo } from "./change";

type Kind = "http" | "scope" | "secret";

export function GrantsSetting({ live, worker }: { live: LiveWorker; worker: Worker }) {
  const after = useSignal<Grants>(worker.grants);
  const conflict = useSignal(false);
  const problem = useSignal<string | null>(null);
  useEffect(askGrantable, []);
  useEffect(() => {
    // What others changed is the new ground; what was being edited is dropped with a word.
    if (!sameGrants(after.peek(), worker.grants))
      conflict.value = !sameGrants(after.peek(), worker.grants) && isEdited.peek();
    after.value = worker.grants;
    isEdited.value = false;
  }, [JSON.stringify(worker.grants)]);
  const isEdited = useSignal(false);
  const isSame = sameGrants(after.value, worker.grants);
  const past = grantable.value ? beyond(grantable.value, worker.grants, after.value) : null;
  const edit = (grants: Grants) => {
    after.value = grants;
    isEdited.value = true;
    conflict.value = false;
  };
  const save = async () => {
    problem.value = null;
    const before = worker.grants;
    const now = after.peek();
    isEdited.value = false;
    try {
      await patchWithUndo(
        live,
        { grants: now, grants_before: before },
        { grants: before, grants_before: now },
        "The grants were changed. They apply from the next turn on.",
      );
    } catch (error) {
      if (error instanceof Problem && error.status === 409) {
        conflict.value = true;
        live.reload();
      } else problem.value = sentence(error);
    }
  };
  return (
    <Setting
      title="Grants"
      about="What the worker may reach beyond its own directory. They apply from the next turn on."
    >
      {conflict.value && (
        <p class="problem warn" role="alert">
          The grants were changed by another person meanwhile. They are shown as they are now; nothing of
          yours was saved.
        </p>
      )}
      {isSame ? (
        <GrantList grants={worker.grants} />
      ) : (
        <GrantDiff before={worker.grants} after={after.value} />
      )}
      {may("operator") && <Remove grants={after.value} onChange={edit} />}
      {may("operator") && <Add grants={after} onChange={edit} />}
      {past && (
        <p class="error" role="alert">
          {past.text}
        </p>
      )}
      {problem.value && (
        <p class="error" role="alert">
          {problem.value}
        </p>
      )}
      <div class="row wrap">
        <Button needs="operator" disabled={isSame ? "Nothing was changed." : past?.text} onClick={save}>
          Save the grants
        </Button>
        {!isSame && (
          <Button quiet onClick={() => edit(worker.grants)}>
            Discard
          </Button>
        )}
      </div>
    </Setting>
  );
}

/** Buttons that take one grant away each. */
function Remove({ grants, onChange }: { grants: Grants; onChange: (grants: Grants) => void }) {
  const all: { text: string; less: Grants }[] = [
    ...grants.scopes.map((one) => ({ text: scopeText(one), less: { scopes: [one] } })),
    ...(grants.http ?? []).map((one) => ({ text: httpText(one), less: { scopes: [], http: [one] } })),
    ...(grants.secrets ?? []).map((one) => ({ text: one, less: { scopes: [], secrets: [one] } })),
  ];
  if (all.length === 0) return null;
  return (
    <div class="row wrap">
      {all.map(({ text, less }) => (
        <Button
          key={text}
          quiet
          icon="close"
          needs="operator"
          onClick={() => onChange(withoutGrants(grants, less))}
        >
          Revoke <Name text={text} />
        </Button>
      ))}
    </div>
  );
}

function Add({ grants, onChange }: { grants: Signal<Grants>; onChange: (grants: Grants) => void }) {
  const kind = useSignal<Kind>("http");
  const text = useSignal("");
  const guest = useSignal("");
  const rights = useSignal<Rights>("ro");
  const problem = useSignal<string | null>(null);
  const add = () => {
    const more = read(kind.peek(), text.peek().trim(), guest.peek().trim(), rights.peek());
    problem.value = typeof more === "string" ? more : null;
    if (typeof more === "string") return;
    onChange(addGrants(grants.peek(), more));
    text.value = "";
    guest.value = "";
  };
  const offered =
    kind.value === "scope"
      ? grantable.value?.scopes?.map((one) => one.name)
      : kind.value === "secret"
        ? grantable.value?.secrets
        : null;
  return (
    <form
      class="stack"
      onSubmit={(event) => {
        event.preventDefault();
        add();
      }}
    >
      <Segments
        label="Kind of grant"
        value={kind.value}
        options={[
          { value: "http", words: "Requests" },
          { value: "scope", words: "Directory" },
          { value: "secret", words: "Secret" },
        ]}
        onChange={(value) => {
          kind.value = value;
          problem.value = null;
        }}
      />
      <div class="row wrap add-grant">
        <Field
          label={
            {
              http: "Requests to allow",
              scope: "The operator's name of the directory",
              secret: "The operator's name of the secret",
            }[kind.value]
          }
          error={problem.value}
          help={
            kind.value === "http"
              ? "Methods if not all, then the origin: GET,HEAD and a scheme with host"
              : offered
                ? `Offered: ${offered.join(", ") || "none"}`
                : undefined
          }
        >
          {(ids) => (
            <input
              {...ids}
              class="mono"
              spellcheck={false}
              autocomplete="off"
              value={text.value}
              onInput={(event) => (text.value = event.currentTarget.value)}
            />
          )}
        </Field>
        {kind.value === "scope" && (
          <>
            <Field label="Path in the worker">
              {(ids) => (
                <input
                  {...ids}
                  class="mono"
                  placeholder="/src"
                  value={guest.value}
                  onInput={(event) => (guest.value = event.currentTarget.value)}
                />
              )}
            </Field>
            <Segments
              label="Rights"
              value={rights.value}
              options={[
                { value: "ro", words: "Read" },
                { value: "rw", words: "Read and write" },
              ]}
              onChange={(value) => (rights.value = value)}
            />
          </>
        )}
        <Button
          type="submit"
          icon="plus"
          needs="operator"
          disabled={text.value.trim() === "" && "Type what to grant first."}
        >
          Add
        </Button>
      </div>
    </form>
  );
}

/** Reads a grant as it was typed, or tells the fault. */
function read(kind: Kind, text: string, guest: string, rights: Rights): Grants | string {
  if (kind === "secret") return { scopes: [], secrets: [text] };
  if (kind === "scope") {
    if (!/^(\/[^/]+)+$/.test(guest)) return "The path in the worker begins with / and names a folder.";
    return { scopes: [{ name: text, guest, rights }] };
  }
  const grant = parseHttpGrant(text);
  return "problem" in grant ? grant.problem : { scopes: [], http: [grant] };
}
