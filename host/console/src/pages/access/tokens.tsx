// The tokens of this registry: list, create, revoke.

import { useState } from "preact/hooks";

import { request } from "../../api/client";
import { runtimeName, runtimes } from "../../api/fleet";
import { me } from "../../api/session";
import { Button } from "../../parts/button";
import { confirm } from "../../parts/dialog";
import { CommandLine, Empty } from "../../parts/empty";
import { Loaded, useLoad } from "../../parts/load";
import { Id, Name } from "../../parts/name";
import { State } from "../../parts/state";
import { Time, now } from "../../parts/time";
import { toast, toastFailure } from "../../parts/toast";
import { hashText, paths } from "../../router";
import { NewTokenDialog } from "./new-token";
import { type TokenView, sorted, stateOf } from "./types";

export function Tokens() {
  const [making, setMaking] = useState(false);
  const load = useLoad(
    async (signal) => (await request<{ items: TokenView[] }>("get", "/api/tokens", { signal })).items,
    [],
  );

  const revoke = async (token: TokenView) => {
    const own = token.token_id === me.peek()?.token_id;
    const yes = await confirm({
      title: "Revoke the token?",
      body: (
        <p>
          <TokenName token={token} /> stops working at once, and its sessions end.
          {own && <strong> It is the one you are logged in with: you will be logged out.</strong>}{" "}
          This cannot be undone.
        </p>
      ),
      action: "Revoke",
      danger: true,
    });
    if (!yes) return;
    try {
      await request("delete", "/api/tokens/{token_id}", { path: { token_id: token.token_id } });
      toast({ text: "The token was revoked." });
      load.reload();
    } catch (error) {
      toastFailure("The token was not revoked.", error);
    }
  };

  return (
    <section class="card" aria-labelledby="tokens">
      <header>
        <h2 id="tokens">Tokens</h2>
        <span class="grow" />
        <Button first icon="plus" needs="admin" onClick={() => setMaking(true)}>
          New token
        </Button>
      </header>
      <Loaded load={load} lines={4}>
        {(tokens) =>
          tokens.length === 0 ? (
            <Empty icon="access" title="No tokens">
              <p>
                A token lets a person or a program in, with one role, on all runtimes or some, until
                it expires.
              </p>
              <CommandLine command="skep token create --role operator" />
            </Empty>
          ) : (
            <TokenTable tokens={sorted(tokens, now.value)} revoke={revoke} />
          )
        }
      </Loaded>
      {making && <NewTokenDialog onClose={() => setMaking(false)} onCreated={load.reload} />}
    </section>
  );
}

/** A token's name with its id. */
function TokenName({ token }: { token: TokenView }) {
  return (
    <span class="row wrap token-name">
      {token.name && <Name text={token.name} />}
      <Id id={token.token_id} whole />
    </span>
  );
}

interface TableProps {
  tokens: readonly TokenView[];
  revoke: (token: TokenView) => Promise<void>;
}

function TokenTable({ tokens, revoke }: TableProps) {
  const own = me.value?.token_id;
  return (
    <table class="plain">
      <thead>
        <tr>
          <th scope="col">Token</th>
          <th scope="col">Role</th>
          <th scope="col">Runtimes</th>
          <th scope="col">Created</th>
          <th scope="col">State</th>
          <th scope="col">
            <span class="unseen">Actions</span>
          </th>
        </tr>
      </thead>
      <tbody>
        {tokens.map((token) => {
          const valid = stateOf(token, now.value) === "valid";
          return (
            <tr key={token.token_id} class={valid ? undefined : "past"}>
              <th scope="row" data-label="Token">
                <span class="row wrap">
                  <TokenName token={token} />
                  {token.token_id === own && <span class="badge calm">yours</span>}
                </span>
              </th>
              <td data-label="Role">{token.role}</td>
              <td data-label="Runtimes">
                <Runtimes ids={token.runtimes} />
              </td>
              <td data-label="Created">
                <Time at={token.created_at} />
              </td>
              <td data-label="State">
                <TokenStateView token={token} />
              </td>
              <td class="end">
                <a
                  class="button quiet"
                  href={paths.audit() + hashText({ actor: token.token_id })}
                  aria-label={`Changes by ${token.name ?? token.token_id}`}
                >
                  Changes
                </a>
                {valid && (
                  <Button quiet danger needs="admin" onClick={() => revoke(token)}>
                    Revoke
                  </Button>
                )}
              </td>
            </tr>
          );
        })}
      </tbody>
    </table>
  );
}

function Runtimes({ ids }: { ids: string[] | null }) {
  if (ids === null) return <span class="muted">all</span>;
  const known = new Set((runtimes.value ?? []).map((one) => one.runtime_id));
  return (
    <span>
      {ids.map((id, at) => (
        <span key={id}>
          {at > 0 && ", "}
          {known.has(id) ? (
            <a href={paths.runtime(id)}>
              <Name text={runtimeName(id)} />
            </a>
          ) : (
            <Id id={id} />
          )}
        </span>
      ))}
    </span>
  );
}

function TokenStateView({ token }: { token: TokenView }) {
  switch (stateOf(token, now.value)) {
    case "revoked":
      return (
        <span class="row wrap">
          <State word="Revoked" tone="off" shape="square" />
          <Time at={token.revoked_at} />
        </span>
      );
    case "expired":
      return (
        <span class="row wrap">
          <State word="Expired" tone="off" shape="ring" />
          <Time at={token.expires_at} />
        </span>
      );
    case "valid":
      return (
        <span class="row wrap">
          <State word="Valid" tone="good" shape="tick" />
          {token.expires_at ? (
            <span class="muted">
              ends <Time at={token.expires_at} />
            </span>
          ) : (
            <span class="muted">never expires</span>
          )}
        </span>
      );
  }
}
