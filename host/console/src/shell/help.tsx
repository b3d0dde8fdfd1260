// The list of keys, for `?`.

import { signal } from "@preact/signals";

import { Dialog } from "../parts/dialog";
import { Segments } from "../parts/field";
import { type Command, commands, keysText } from "../parts/keys";
import { singleKeys } from "../prefs";

const shown = signal(false);

export function openHelp(): void {
  shown.value = true;
}

export function Help() {
  if (!shown.value) return null;
  const groups = new Map<string, Map<string, Command>>();
  for (const command of commands.value) {
    if (!command.keys) continue;
    const group = groups.get(command.group) ?? new Map<string, Command>();
    group.set(command.keys, command);
    groups.set(command.group, group);
  }
  return (
    <Dialog title="Keys" wide onClose={() => (shown.value = false)}>
      <div class="row wrap">
        <span class="muted grow">
          Keys act on the page while no field has the focus. None of them destroys anything.
        </span>
        <Segments
          label="Single keys"
          value={singleKeys.value}
          options={[
            { value: "on", words: "Single keys on" },
            { value: "off", words: "Off" },
          ]}
          onChange={(value) => (singleKeys.value = value)}
        />
      </div>
      <div class="key-groups">
        {[...groups].map(([group, list]) => (
          <section key={group}>
            <h3>{group}</h3>
            <dl>
              {[...list.values()].map(({ keys, does }) => (
                <div key={keys} class="row">
                  <dt>
                    {keysText(keys ?? "")
                      .split(" ")
                      .map((key, at) => (
                        <kbd key={at}>{key}</kbd>
                      ))}
                  </dt>
                  <dd>{does}</dd>
                </div>
              ))}
            </dl>
          </section>
        ))}
      </div>
    </Dialog>
  );
}
