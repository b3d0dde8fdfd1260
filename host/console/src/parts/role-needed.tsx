// The place of a page that the caller's role may not see: what it is, which role it needs, and how
// to get it.

import type { ComponentChildren } from "preact";

import { me, role, type Role } from "../api/session";
import { CommandLine } from "./empty";
import { Icon } from "./icon";
import { Id } from "./name";

export function RoleNeeded({ needs, what, children }: { needs: Role; what: string; children?: ComponentChildren }) {
  const id = me.value?.token_id;
  return (
    <section class="card role-needed">
      <div class="empty">
        <Icon name="access" />
        <h2>For the role {needs}</h2>
        <p>
          {what} You are logged in as <strong>{role.value}</strong>
          {id && (
            <>
              , with the token <Id id={id} whole />
            </>
          )}
          . A person with access to the host can make a token for you:
        </p>
        <CommandLine command={`skep token create --role ${needs}`} />
        {children}
      </div>
    </section>
  );
}
