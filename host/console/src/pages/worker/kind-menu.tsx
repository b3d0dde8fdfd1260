// The choice of kinds that a transcript shows.

import { useId, useRef } from "preact/hooks";

import type { EntryKind } from "../../api/entry";
import { Icon } from "../../parts/icon";
import { KIND_GROUPS } from "./entry-text";

export interface KindMenuProps {
  /** Empty for all. */
  kinds: readonly EntryKind[];
  onChange: (kinds: readonly EntryKind[]) => void;
}

export function KindMenu({ kinds, onChange }: KindMenuProps) {
  const id = useId();
  const button = useRef<HTMLButtonElement>(null);
  const list = useRef<HTMLDivElement>(null);
  const has = (group: (typeof KIND_GROUPS)[number]) => group.kinds.every((kind) => kinds.includes(kind));
  const chosen = KIND_GROUPS.filter(has);
  const toggle = (group: (typeof KIND_GROUPS)[number]) => {
    const without = kinds.filter((kind) => !group.kinds.includes(kind));
    onChange(has(group) ? without : [...without, ...group.kinds]);
  };
  const words =
    chosen.length === 0 ? "All kinds" : chosen.length === 1 ? chosen[0]!.words : `${chosen.length} kinds`;
  return (
    <>
      <button
        type="button"
        ref={button}
        class="button"
        popovertarget={id}
        aria-haspopup="dialog"
        aria-pressed={chosen.length > 0}
      >
        <Icon name="filter" />
        {words}
      </button>
      <div
        id={id}
        ref={list}
        class="menu kinds"
        popover="auto"
        role="dialog"
        aria-label="Kinds to show"
        onToggle={(event) => {
          const of = button.current?.getBoundingClientRect();
          if ((event as ToggleEvent).newState !== "open" || !of || !list.current) return;
          list.current.style.setProperty(
            "inset",
            `${of.bottom + 4}px auto auto ${Math.max(8, Math.min(of.left, innerWidth - 240))}px`,
          );
          list.current.style.setProperty("margin", "0");
          list.current.querySelector("input")?.focus();
        }}
      >
        {KIND_GROUPS.map((group) => (
          <label key={group.name} class="choice">
            <input type="checkbox" checked={has(group)} onChange={() => toggle(group)} />
            {group.words}
          </label>
        ))}
        <button type="button" onClick={() => onChange([])}>
          Show all kinds
        </button>
      </div>
    </>
  );
}
