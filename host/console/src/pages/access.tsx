// Access: tokens and the sessions that were opened with them. Viewers and operators see their own
// sessions; tokens are for admins.

import { me, may } from "../api/session";
import { Page } from "../parts/page";
import { RoleNeeded } from "../parts/role-needed";
import type { PageProps } from "../shell/pages";
import { Sessions } from "./access/sessions";
import { Tokens } from "./access/tokens";
import "../parts/plain-table.css";
import "./access.css";

export default function AccessPage(_: PageProps<"access">) {
  return (
    <Page title="Access" beside={<Caller />}>
      <div class="stack access">
        {may("admin") ? (
          <Tokens />
        ) : (
          <RoleNeeded needs="admin" what="Tokens are made and revoked by admins." />
        )}
        <Sessions />
      </div>
    </Page>
  );
}

/** Who is looking, in a few words. */
function Caller() {
  const caller = me.value;
  if (!caller) return null;
  const { role, runtimes } = caller;
  return (
    <span class="muted">
      You are {role}
      {runtimes && ` on ${runtimes.length === 1 ? "one runtime" : `${runtimes.length} runtimes`}`}.
    </span>
  );
}
