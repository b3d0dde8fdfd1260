// The frame around every page: navigation, connection, preferences, and the places of dialogs.

import { offline } from "../api/connection";
import { runtimes } from "../api/fleet";
import { me, role, session } from "../api/session";
import { DropTarget } from "../flows/drop-target";
import { chooseFile } from "../flows/new-worker-source";
import { Questions } from "../parts/dialog";
import { Icon, type IconName } from "../parts/icon";
import { type Command, keysText, useCommands } from "../parts/keys";
import { Menu } from "../parts/menu";
import { Name } from "../parts/name";
import { opened } from "../parts/page";
import { Palette, openPalette } from "../parts/palette";
import { Toasts, toastFailure } from "../parts/toast";
import { clock, singleKeys, theme } from "../prefs";
import { type Route, go, paths, route } from "../router";
import { ConnectionState, OfflineBar } from "./connection";
import { Help, openHelp } from "./help";
import { Login, logout } from "./login";
import { CurrentPage, loadNewWorker, preload } from "./pages";

interface Place {
  page: Route["page"];
  words: string;
  icon: IconName;
  to: string;
  keys: string;
  /** Pages that belong to it. */
  also: readonly Route["page"][];
}

const PLACES: readonly Place[] = [
  { page: "overview", words: "Overview", icon: "overview", to: paths.overview(), keys: "g o", also: ["runtime"] },
  { page: "workers", words: "Workers", icon: "workers", to: paths.workers(), keys: "g w", also: ["worker"] },
  { page: "components", words: "Components", icon: "components", to: paths.components(), keys: "g c", also: ["component"] },
  { page: "ci", words: "Pipelines", icon: "pipelines", to: paths.ci(), keys: "g p", also: [] },
  { page: "audit", words: "Audit", icon: "audit", to: paths.audit(), keys: "g a", also: [] },
  { page: "access", words: "Access", icon: "access", to: paths.access(), keys: "g t", also: [] },
];

export function Shell() {
  const commands: Command[] = [
    ...PLACES.map(({ words, keys, to }) => ({
      does: `Go to ${words}`,
      keys,
      group: "Go to",
      run: () => go(to),
    })),
    { does: "Create a worker from a file", group: "Everywhere", run: chooseFile },
    { does: "Open the command palette", keys: "Mod+K", group: "Everywhere", listed: false, run: openPalette },
    { does: "Show the keys", keys: "?", group: "Everywhere", run: openHelp },
    { does: "Times: relative", group: "Preferences", run: () => (clock.value = "relative") },
    { does: "Times: local", group: "Preferences", run: () => (clock.value = "local") },
    { does: "Times: UTC", group: "Preferences", run: () => (clock.value = "utc") },
    { does: "Theme: as the system", group: "Preferences", run: () => (theme.value = "system") },
    { does: "Theme: light", group: "Preferences", run: () => (theme.value = "light") },
    { does: "Theme: dark", group: "Preferences", run: () => (theme.value = "dark") },
    {
      does: singleKeys.value === "on" ? "Switch single keys off" : "Switch single keys on",
      group: "Preferences",
      run: () => (singleKeys.value = singleKeys.value === "on" ? "off" : "on"),
    },
    { does: "Log out", group: "Everywhere", run: leave },
  ];
  useCommands(commands);

  const page = route.value.page;
  return (
    <div class={offline.value ? "shell away" : "shell"}>
      <a class="skip button" href="#main" onClick={skip}>
        Skip to the page
      </a>
      <Navigation page={page} />
      <main id="main" tabIndex={-1}>
        <OfflineBar />
        {session.value === "unknown" || !me.value ? <div class="page" /> : <CurrentPage />}
      </main>
      <div class="unseen" role="status">
        {opened.value}
      </div>
      {session.value === "open" && <DropTarget load={loadNewWorker} />}
      <Palette />
      <Help />
      <Questions />
      <Login />
      <Toasts />
    </div>
  );
}

function skip(event: MouseEvent): void {
  event.preventDefault();
  document.getElementById("main")?.focus();
}

function Navigation({ page }: { page: Route["page"] }) {
  return (
    <header class="nav">
      <a class="brand" href="/" aria-label="Skep, overview">
        <svg viewBox="0 0 32 32" aria-hidden="true">
          <path class="hive" d="M16 2 28.1 9v14L16 30 3.9 23V9z" />
          <path class="coils" d="M11.5 9.5h9M9 13.5h14M7.5 18h17M9 22.5h14" />
        </svg>
        <span class="words">Skep</span>
      </a>
      <button type="button" class="find" onClick={openPalette} aria-label={`Search ${keysText("Mod+K")}`}>
        <Icon name="search" />
        <span class="words grow">Search</span>{" "}
        <kbd class="words">{keysText("Mod+K")}</kbd>
      </button>
      <nav aria-label="Main">
        {PLACES.map((place) => (
          <a
            key={place.page}
            href={place.to}
            title={place.words}
            aria-current={
              page === place.page ? "page" : place.also.includes(page) ? "true" : undefined
            }
            onPointerEnter={() => preload(place.page)}
          >
            <Icon name={place.icon} />
            <span class="words">{place.words}</span>
          </a>
        ))}
      </nav>
      <Runtimes />
      <footer>
        <ConnectionState />
        <span class="grow" />
        <Preferences />
      </footer>
    </header>
  );
}

function leave(): void {
  logout().catch((error: unknown) => toastFailure("You are still logged in.", error));
}

function Runtimes() {
  const current = route.value;
  const known = runtimes.value;
  if (!known?.length) return <div class="runtimes" />;
  return (
    <nav class="runtimes" aria-label="Runtimes">
      <h2>Runtimes</h2>
      {known.map((one) => {
        const here = current.page === "runtime" && current.id === one.runtime_id;
        return (
          <a
            key={one.runtime_id}
            href={paths.runtime(one.runtime_id)}
            aria-current={here ? "page" : undefined}
          >
            <i class={`pip ${one.status}`} aria-hidden="true" />
            <span class="clip grow">
              <Name text={one.display_name} />
            </span>
            {one.status !== "available" && <span class="small">{one.status}</span>}
          </a>
        );
      })}
    </nav>
  );
}

function Preferences() {
  const who = me.value;
  return (
    <Menu
      label="Preferences"
      icon="more"
      items={[
        { words: "Relative times", checked: clock.value === "relative", run: () => (clock.value = "relative") },
        { words: "Local times", checked: clock.value === "local", run: () => (clock.value = "local") },
        { words: "UTC times", checked: clock.value === "utc", run: () => (clock.value = "utc") },
        { words: "System theme", checked: theme.value === "system", run: () => (theme.value = "system") },
        { words: "Light theme", checked: theme.value === "light", run: () => (theme.value = "light") },
        { words: "Dark theme", checked: theme.value === "dark", run: () => (theme.value = "dark") },
        { words: "Keys", icon: "keys", run: openHelp },
        ...(who
          ? [
              {
                words: `Log out (${role.value})`,
                icon: "logout" as const,
                run: leave,
              },
            ]
          : []),
      ]}
    />
  );
}
