// Filters beside the search: kind, wanted state, instance and runtime from a menu, and those that
// are set as words that can be taken away.

import type { Runtime } from "../../api/fleet";
import type { WorkerFilter } from "../../api/workers";
import { Icon } from "../../parts/icon";
import { type Item, Menu } from "../../parts/menu";
import { Name, shortId } from "../../parts/name";
import { setHash } from "../../router";

interface Props {
  filter: WorkerFilter;
  runtimes: readonly Runtime[];
}

const CHOICES: readonly [name: "kind" | "desired" | "execution", value: string, words: string][] = [
  ["kind", "service", "Kind: service"],
  ["kind", "command", "Kind: command"],
  ["kind", "http", "Kind: http"],
  ["desired", "running", "Wanted: running"],
  ["desired", "stopped", "Wanted: stopped"],
  ["execution", "connected", "Instance: live"],
  ["execution", "unconnected", "Instance: unconnected"],
];

export function Filters({ filter, runtimes }: Props) {
  const toggle = (name: keyof WorkerFilter, value: string) =>
    setHash({ [name]: filter[name] === value ? null : value });
  const items: Item[] = CHOICES.map(([name, value, words]) => ({
    words,
    checked: filter[name] === value,
    run: () => toggle(name, value),
  }));
  if (runtimes.length > 1) {
    for (const { runtime_id, display_name } of runtimes) {
      items.push({
        words: (
          <span>
            On <Name text={display_name} />
          </span>
        ),
        checked: filter.runtime_id === runtime_id,
        run: () => toggle("runtime_id", runtime_id),
      });
    }
  }
  return (
    <>
      <Menu label="Filter" icon="filter" quiet={false} items={items}>
        Filter
      </Menu>
      {CHOICES.filter(([name, value]) => filter[name] === value).map(([name, , words]) => (
        <Chip key={name} name={name} words={words} />
      ))}
      {filter.runtime_id && (
        <Chip
          name="runtime_id"
          words={`On ${runtimes.find((one) => one.runtime_id === filter.runtime_id)?.display_name ?? filter.runtime_id}`}
        />
      )}
      {filter.component && <Chip name="component" words={`Component ${shortId(filter.component)}`} />}
      {filter.label && <Chip name="label" words={`Label ${filter.label}`} />}
    </>
  );
}

function Chip({ name, words }: { name: string; words: string }) {
  return (
    <button type="button" class="chip" aria-label={`Remove the filter ${words}`} onClick={() => setHash({ [name]: null })}>
      <Name text={words} />
      <Icon name="close" />
    </button>
  );
}
