// Starts the console: the session, the frame, and the stream of changes.

import "./kit";

import { effect } from "@preact/signals";
import { render } from "preact";

import { watchConnection } from "./api/connection";
import { followFleet, forgetFleet } from "./api/fleet";
import { me, session } from "./api/session";
import { noteAttention } from "./api/slots";
import { startKeys } from "./parts/keys";
import { startClock } from "./parts/time";
import { applyTheme } from "./prefs";
import { route, startRouter } from "./router";
import { openSession, takeCode } from "./shell/login";
import { preload } from "./shell/pages";
import { Shell } from "./shell/shell";

// Before anything else can see or send it.
const code = takeCode();

applyTheme();
startRouter();
startKeys();
startClock();
watchConnection();
noteAttention();
preload(route.peek().page);

let whose: string | null = null;
effect(() => {
  if (session.value !== "open") return;
  const token = me.value?.token_id ?? "";
  // Another caller may see other runtimes and workers.
  if (whose !== null && whose !== token) forgetFleet();
  whose = token;
  followFleet();
});

const root = document.getElementById("app");
if (root) render(<Shell />, root);
void openSession(code);
