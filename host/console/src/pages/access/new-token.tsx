// The dialog that makes a token and shows it once.

import { useEffect, useRef, useState } from "preact/hooks";

import { request } from "../../api/client";
import { runtimes } from "../../api/fleet";
import type { Role } from "../../api/session";
import { Button } from "../../parts/button";
import { Dialog } from "../../parts/dialog";
import { copy } from "../../parts/empty";
import { Field } from "../../parts/field";
import { Icon } from "../../parts/icon";
import { Name } from "../../parts/name";
import { ProblemView } from "../../parts/problem";
import { Time } from "../../parts/time";
import type { NewToken } from "./types";

const ROLES: readonly { role: Role; words: string }[] = [
  { role: "viewer", words: "reads everything, changes nothing" },
  { role: "operator", words: "works with workers, within the operator's bounds" },
  { role: "admin", words: "does everything, tokens too" },
];

const DAY_MS = 86_400_000;

/** Times until expiry. */
const EXPIRIES: readonly { words: string; ms: number | null }[] = [
  { words: "in 1 hour", ms: DAY_MS / 24 },
  { words: "in 1 day", ms: DAY_MS },
  { words: "in 30 days", ms: 30 * DAY_MS },
  { words: "in 90 days", ms: 90 * DAY_MS },
  { words: "in 1 year", ms: 365 * DAY_MS },
  { words: "never", ms: null },
];

interface Props {
  onClose: () => void;
  onCreated: () => void;
}

export function NewTokenDialog({ onClose, onCreated }: Props) {
  const [name, setName] = useState("");
  const [role, setRole] = useState<Role>("operator");
  const [some, setSome] = useState<readonly string[]>([]);
  const [limited, setLimited] = useState(false);
  const [expiry, setExpiry] = useState(2);
  const [made, setMade] = useState<NewToken | null>(null);
  const [error, setError] = useState<unknown>(null);
  const [busy, setBusy] = useState(false);
  if (made) return <Made made={made} onClose={onClose} />;

  const none = limited && some.length === 0;
  const submit = async () => {
    if (busy || none) return;
    setBusy(true);
    setError(null);
    const ms = EXPIRIES[expiry]?.ms ?? null;
    try {
      const token = await request<NewToken>("post", "/api/tokens", {
        json: {
          role,
          ...(name.trim() === "" ? {} : { name: name.trim() }),
          ...(limited ? { runtimes: some } : {}),
          ...(ms === null ? {} : { expires_at: new Date(Date.now() + ms).toISOString() }),
        },
      });
      setMade(token);
      onCreated();
    } catch (failure) {
      setError(failure);
    } finally {
      setBusy(false);
    }
  };
  return (
    <Dialog
      title="New token"
      onClose={onClose}
      onSubmit={() => void submit()}
      footer={
        <>
          <Button onClick={onClose}>Cancel</Button>
          <Button
            first
            type="submit"
            needs="admin"
            disabled={none ? "Choose a runtime first." : busy && "The token is being made."}
          >
            Create
          </Button>
        </>
      }
    >
      {error !== null && <ProblemView error={error} />}
      <Field label="Name" help="For people: the person or program that will use it.">
        {(ids) => (
          <input
            {...ids}
            value={name}
            maxLength={128}
            autofocus
            autocomplete="off"
            spellcheck={false}
            onInput={(event) => setName(event.currentTarget.value)}
          />
        )}
      </Field>
      <fieldset class="radios">
        <legend>Role</legend>
        {ROLES.map((one) => (
          <label key={one.role}>
            <input
              type="radio"
              name="role"
              checked={role === one.role}
              onChange={() => setRole(one.role)}
            />
            <span>
              <strong>{one.role}</strong> <span class="muted">{one.words}</span>
            </span>
          </label>
        ))}
      </fieldset>
      <fieldset class="radios">
        <legend>Runtimes</legend>
        <label>
          <input
            type="radio"
            name="runtimes"
            checked={!limited}
            onChange={() => setLimited(false)}
          />
          All, also those that are added later
        </label>
        <label>
          <input type="radio" name="runtimes" checked={limited} onChange={() => setLimited(true)} />
          Only these
        </label>
        {limited &&
          (runtimes.value ?? []).map((one) => (
            <label class="below" key={one.runtime_id}>
              <input
                type="checkbox"
                checked={some.includes(one.runtime_id)}
                onChange={(event) =>
                  setSome(
                    event.currentTarget.checked
                      ? [...some, one.runtime_id]
                      : some.filter((id) => id !== one.runtime_id),
                  )
                }
              />
              <Name text={one.display_name} />
            </label>
          ))}
      </fieldset>
      <Field label="Expires">
        {(ids) => (
          <select
            {...ids}
            value={expiry}
            onChange={(event) => setExpiry(Number(event.currentTarget.value))}
          >
            {EXPIRIES.map(({ words }, at) => (
              <option key={words} value={at}>
                {words}
              </option>
            ))}
          </select>
        )}
      </Field>
    </Dialog>
  );
}

/** The token, shown once. It leaves the page's memory with the dialog. */
function Made({ made, onClose }: { made: NewToken; onClose: () => void }) {
  const text = useRef<HTMLInputElement>(null);
  useEffect(() => text.current?.select(), []);
  return (
    <Dialog
      title="Copy the token now"
      onClose={onClose}
      footer={
        <Button first onClick={onClose}>
          Done
        </Button>
      }
    >
      <div class="problem warn">
        <Icon name="warn" />
        <p>
          It is shown this once and stored as a hash only. It gives the role{" "}
          <strong>{made.role}</strong> to any person or program that has it
          {made.expires_at && (
            <>
              , until <Time at={made.expires_at} exact />
            </>
          )}
          .
        </p>
      </div>
      <div class="row">
        <input
          ref={text}
          class="mono grow"
          readOnly
          aria-label="The token"
          value={made.token}
          onFocus={(event) => event.currentTarget.select()}
        />
        <Button icon="copy" autofocus onClick={() => copy(made.token, "The token was copied.")}>
          Copy
        </Button>
      </div>
      <p class="muted small">Id: {made.token_id}. With it, the token can be revoked at any time.</p>
    </Dialog>
  );
}
