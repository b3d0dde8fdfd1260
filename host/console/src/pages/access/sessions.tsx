// Logins of browsers: list, and end one.

import { request } from "../../api/client";
import { ended, may } from "../../api/session";
import { Button } from "../../parts/button";
import { confirm } from "../../parts/dialog";
import { Empty } from "../../parts/empty";
import { Loaded, useLoad } from "../../parts/load";
import { Id } from "../../parts/name";
import { Time } from "../../parts/time";
import { toast, toastFailure } from "../../parts/toast";
import type { SessionView } from "./types";

export function Sessions() {
  const load = useLoad(
    async (signal) =>
      (await request<{ items: SessionView[] }>("get", "/api/sessions", { signal })).items,
    [],
  );

  const end = async (session: SessionView) => {
    if (session.current) {
      const yes = await confirm({
        title: "End this session?",
        body: <p>You will be logged out here. Your token stays valid.</p>,
        action: "Log out",
      });
      if (!yes) return;
    }
    try {
      await request("delete", "/api/sessions/{session_id}", {
        path: { session_id: session.session_id },
      });
      if (session.current) return ended();
      toast({ text: "The session was ended." });
      load.reload();
    } catch (error) {
      toastFailure("The session was not ended.", error);
    }
    return undefined;
  };

  return (
    <section class="card" aria-labelledby="sessions">
      <header>
        <h2 id="sessions">{may("admin") ? "Sessions" : "Your sessions"}</h2>
        <span class="grow" />
        <span class="muted small">Logins of browsers. A revoked token ends its sessions.</span>
      </header>
      <Loaded load={load}>
        {(sessions) =>
          sessions.length === 0 ? (
            <Empty icon="access" title="No sessions">
              <p>No browser is logged in.</p>
            </Empty>
          ) : (
            <table class="plain">
              <thead>
                <tr>
                  <th scope="col">Token</th>
                  <th scope="col">Role</th>
                  <th scope="col">Begun</th>
                  <th scope="col">Ends</th>
                  <th scope="col">
                    <span class="unseen">Actions</span>
                  </th>
                </tr>
              </thead>
              <tbody>
                {sessions.map((one) => (
                  <tr key={one.session_id}>
                    <th scope="row" data-label="Token">
                      <span class="row wrap">
                        {one.token_id ? (
                          <Id id={one.token_id} whole />
                        ) : (
                          <span class="muted">a login link</span>
                        )}
                        {one.current && <span class="badge calm">this browser</span>}
                      </span>
                    </th>
                    <td data-label="Role">{one.role}</td>
                    <td data-label="Begun">
                      <Time at={one.created_at} />
                    </td>
                    <td data-label="Ends">
                      <Time at={one.expires_at} />
                    </td>
                    <td class="end">
                      <Button quiet danger={!one.current} onClick={() => end(one)}>
                        {one.current ? "Log out" : "End"}
                      </Button>
                    </td>
                  </tr>
                ))}
              </tbody>
            </table>
          )
        }
      </Loaded>
    </section>
  );
}
