// The part of the dialog that asks for grants: directories, HTTP requests and secrets. What cannot
// be granted to the component, or by this caller, is not asked for.

import { useSignal } from "@preact/signals";

import { grantable } from "../grants/grantable";
import { Field } from "../parts/field";
import { Name } from "../parts/name";
import type { GrantOptions } from "../wasm/grants";
import type { Draft, Fault, ScopeChoice } from "./new-worker";

export interface GrantsFormProps {
  options: GrantOptions;
  draft: Draft;
  fault: Fault | null;
  change: (part: Partial<Draft>) => void;
}

export function GrantsForm({ options, draft, fault, change }: GrantsFormProps) {
  const opened = useSignal<boolean | null>(null);
  const most = grantable.value;
  const scopes = options.scopes && (most?.scopes ? most.scopes.length > 0 : true);
  const http = options.http && (most?.http ? most.http.length > 0 : true);
  const secrets = options.http && (most?.secrets ? most.secrets.length > 0 : true);
  if (!scopes && !http && !secrets) return null;
  const faultOf = (field: Fault["field"]) => (fault?.field === field ? fault.text : null);
  const atFault = fault !== null && ["scopes", "http", "secrets"].includes(fault.field);
  return (
    <details
      open={atFault || (opened.value ?? options.http)}
      onToggle={(event) => (opened.value = event.currentTarget.open)}
    >
      <summary>
        Grants <span class="muted">· without any, it has only its own directory /data</span>
      </summary>
      <div class="stack grants-form">
        {scopes && <Scopes draft={draft} change={change} error={faultOf("scopes")} />}
        {http && (
          <Field
            label="HTTP requests"
            help={httpHelp(most?.http?.length ?? null)}
            error={faultOf("http")}
          >
            {(ids) => (
              <textarea
                {...ids}
                class="mono"
                rows={2}
                spellcheck={false}
                placeholder="GET https://api.example.com"
                value={draft.http}
                onInput={(event) => change({ http: event.currentTarget.value })}
              />
            )}
          </Field>
        )}
        {secrets && <Secrets draft={draft} change={change} error={faultOf("secrets")} />}
      </div>
    </details>
  );
}

function httpHelp(offered: number | null): string {
  const form = "One per line: methods, then scheme and host. No methods means every method.";
  return offered === null ? form : `${form} The operator's settings bound what you may grant.`;
}

interface PartProps {
  draft: Draft;
  change: (part: Partial<Draft>) => void;
  error: string | null;
}

function Scopes({ draft, change, error }: PartProps) {
  if (!grantable.value?.scopes) {
    return (
      <Field
        label="Directories"
        help="One per line: the operator's name, ::, the path in the worker, then :ro or :rw."
        error={error}
      >
        {(ids) => (
          <textarea
            {...ids}
            class="mono"
            rows={2}
            spellcheck={false}
            placeholder="cache::/cache:rw"
            value={draft.scopesText}
            onInput={(event) => change({ scopesText: event.currentTarget.value })}
          />
        )}
      </Field>
    );
  }
  const set = (at: number, part: Partial<ScopeChoice>) =>
    change({ scopes: draft.scopes.map((one, place) => (place === at ? { ...one, ...part } : one)) });
  return (
    <fieldset class="choices">
      <legend>Directories</legend>
      {draft.scopes.map((scope, at) => (
        <div class="choice" key={scope.name}>
          <label class="row">
            <input
              type="checkbox"
              checked={scope.chosen}
              onChange={(event) => set(at, { chosen: event.currentTarget.checked })}
            />
            <Name text={scope.name} />
          </label>
          <input
            class="mono"
            aria-label={`Path of ${scope.name} in the worker`}
            value={scope.guest}
            disabled={!scope.chosen}
            spellcheck={false}
            onInput={(event) => set(at, { guest: event.currentTarget.value })}
          />
          <select
            aria-label={`Rights to ${scope.name}`}
            disabled={!scope.chosen || scope.most === "ro"}
            value={scope.rights}
            onChange={(event) => set(at, { rights: event.currentTarget.value === "rw" ? "rw" : "ro" })}
          >
            <option value="ro">read</option>
            <option value="rw">read and write</option>
          </select>
        </div>
      ))}
      {error && <p class="error small">{error}</p>}
    </fieldset>
  );
}

function Secrets({ draft, change, error }: PartProps) {
  if (!grantable.value?.secrets) {
    return (
      <Field label="Secrets" help="One name per line, as the operator named them." error={error}>
        {(ids) => (
          <textarea
            {...ids}
            class="mono"
            rows={1}
            spellcheck={false}
            value={draft.secretsText}
            onInput={(event) => change({ secretsText: event.currentTarget.value })}
          />
        )}
      </Field>
    );
  }
  return (
    <fieldset class="choices">
      <legend>Secrets</legend>
      {draft.secrets.map((secret, at) => (
        <label class="row" key={secret.name}>
          <input
            type="checkbox"
            checked={secret.chosen}
            onChange={(event) =>
              change({
                secrets: draft.secrets.map((one, place) =>
                  place === at ? { ...one, chosen: event.currentTarget.checked } : one,
                ),
              })
            }
          />
          <Name text={secret.name} />
        </label>
      ))}
      {error && <p class="error small">{error}</p>}
    </fieldset>
  );
}
