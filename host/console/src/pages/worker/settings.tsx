// The tab "Settings": name and labels, component, config, grants and limits. Each part shows what a
// change does before it is made, and offers Undo after it.

import type { ComponentChildren } from "preact";

import { ComponentSetting } from "./settings/component";
import { ConfigSetting } from "./settings/config";
import { GrantsSetting } from "./settings/grants";
import { LimitsSetting } from "./settings/limits";
import { NameSetting } from "./settings/name";
import type { LiveWorker, Worker } from "./live";

export function SettingsTab({ live, worker }: { live: LiveWorker; worker: Worker }) {
  return (
    <div class="scrolls settings">
      <NameSetting live={live} worker={worker} />
      <ComponentSetting live={live} worker={worker} />
      <ConfigSetting live={live} worker={worker} />
      <GrantsSetting live={live} worker={worker} />
      <LimitsSetting live={live} worker={worker} />
    </div>
  );
}

/** One part of the settings. */
export function Setting({
  title,
  about,
  children,
}: {
  title: string;
  about: ComponentChildren;
  children: ComponentChildren;
}) {
  return (
    <section class="card setting">
      <header>
        <h2>{title}</h2>
        <p class="muted small">{about}</p>
      </header>
      <div class="inside stack">{children}</div>
    </section>
  );
}
