// Login: by the one-time code of a login link, or by a token. The link's code is removed from the
// address before it is sent; nothing secret stays in the page or in storage.

import { signal, useSignal, useSignalEffect } from "@preact/signals";

import { request } from "../api/client";
import { offline } from "../api/connection";
import { Problem, sentence } from "../api/problem";
import { type Me, begun, ended, me, session } from "../api/session";
import { Button } from "../parts/button";
import { Dialog } from "../parts/dialog";
import { Field } from "../parts/field";

/** Why the login link did not work. */
const refused = signal<string | null>(null);

/** Takes the code of a login link out of the address; null if there is none. */
export function takeCode(): string | null {
  const match = /^#code=([^&]+)$/.exec(location.hash);
  const bare = location.pathname === "/login" && location.hash.length > 1 && !match;
  if (!match && !bare) return null;
  const code = decodeURIComponent(match?.[1] ?? location.hash.slice(1));
  history.replaceState(null, "", location.pathname === "/login" ? "/" : location.pathname);
  return code;
}

/** Logs in with a code, or finds out who is logged in already. */
export async function openSession(code: string | null): Promise<void> {
  if (code) {
    try {
      begun(await login({ code }));
      return;
    } catch (error) {
      refused.value =
        error instanceof Problem && error.status === 401
          ? "This link was used already or has expired. A start of skep up prints a new one; a token works too."
          : sentence(error);
    }
  }
  for (;;) {
    try {
      const response = await fetch("/api/me", { cache: "no-store" });
      if (response.ok) begun((await response.json()) as Me);
      else ended();
      return;
    } catch {
      offline.value = true;
      await new Promise<void>((resolve) => {
        const stop = offline.subscribe((away) => {
          if (away) return;
          queueMicrotask(() => stop());
          resolve();
        });
      });
    }
  }
}

function login(body: { code: string } | { token: string }): Promise<Me> {
  return request<Me>("post", "/api/login", { json: body });
}

/** Ends the session here and at the host. */
export async function logout(): Promise<void> {
  await request("post", "/api/logout");
  me.value = null;
  ended();
}

/** The login dialog, over whatever page was asked for. It cannot be left undone. */
export function Login() {
  const token = useSignal("");
  const error = useSignal<string | null>(null);
  const busy = useSignal(false);
  const again = me.value !== null;
  // The link is tried when the dialog is there already, and the reason comes later.
  useSignalEffect(() => {
    if (refused.value === null) return;
    error.value = refused.value;
    refused.value = null;
  });
  if (session.value !== "ended") return null;
  const submit = async () => {
    const text = token.value.trim();
    if (!text || busy.value) return;
    busy.value = true;
    error.value = null;
    try {
      begun(await login({ token: text }));
      token.value = "";
    } catch (failure) {
      error.value =
        failure instanceof Problem && failure.status === 401
          ? "No such token, or it was revoked."
          : sentence(failure);
    } finally {
      busy.value = false;
    }
  };
  return (
    <Dialog
      title={again ? "Your session has ended" : "Log in to Skep"}
      closable={false}
      onClose={() => {}}
      onSubmit={() => void submit()}
      footer={
        <Button type="submit" first disabled={offline.value && "Skep does not answer."}>
          {busy.value ? "Logging in…" : "Log in"}
        </Button>
      }
    >
      <p class="muted">
        {again
          ? "Log in to go on where you were. What you typed is still there."
          : "Open the login link that skep up shows in its terminal, or use a token."}
      </p>
      <Field
        label="Token"
        error={error.value}
        help={
          <>
            An operator makes one with <code>skep token create --role viewer</code>
          </>
        }
      >
        {(ids) => (
          <input
            {...ids}
            type="password"
            class="mono"
            autofocus
            autocomplete="off"
            spellcheck={false}
            value={token.value}
            onInput={(event) => (token.value = event.currentTarget.value)}
          />
        )}
      </Field>
    </Dialog>
  );
}
