// Menus that open from a button, on the browser's own popover: it closes them by Escape and by a
// click beside them. Arrow keys move within.

import type { ComponentChildren } from "preact";
import { useId, useRef } from "preact/hooks";
import { useSignal } from "@preact/signals";

import { Icon, type IconName } from "./icon";

export interface Item {
  words: ComponentChildren;
  icon?: IconName;
  /** For a choice among others. */
  checked?: boolean;
  run: () => void;
}

export interface MenuProps {
  label: string;
  icon?: IconName;
  /** Words on the button; without any, it shows its icon alone. */
  children?: ComponentChildren;
  items: readonly Item[];
  quiet?: boolean;
}

export function Menu({ label, icon, children, items, quiet = true }: MenuProps) {
  const id = useId();
  const open = useSignal(false);
  const button = useRef<HTMLButtonElement>(null);
  const list = useRef<HTMLDivElement>(null);
  const place = () => {
    const of = button.current?.getBoundingClientRect();
    const menu = list.current;
    if (!of || !menu) return;
    const { width, height } = menu.getBoundingClientRect();
    const left = Math.max(8, Math.min(of.left, innerWidth - width - 8));
    const top = of.bottom + 4 + height > innerHeight ? of.top - height - 4 : of.bottom + 4;
    menu.style.setProperty("inset", `${Math.max(8, top)}px auto auto ${left}px`);
    menu.style.setProperty("margin", "0");
    menu.querySelector("button")?.focus();
  };
  const move = (event: KeyboardEvent) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step || !list.current) return;
    event.preventDefault();
    const all = [...list.current.querySelectorAll("button")];
    const at = all.indexOf(document.activeElement as HTMLButtonElement);
    all[(at + step + all.length) % all.length]?.focus();
  };
  return (
    <>
      <button
        type="button"
        ref={button}
        class={`button${quiet ? " quiet" : ""}${children === undefined ? " icon" : ""}`}
        aria-label={children === undefined ? label : undefined}
        aria-haspopup="menu"
        aria-expanded={open.value}
        title={children === undefined ? label : undefined}
        popovertarget={id}
      >
        {icon && <Icon name={icon} />}
        {children}
      </button>
      <div
        id={id}
        class="menu"
        popover="auto"
        role="menu"
        aria-label={label}
        ref={list}
        onKeyDown={move}
        onToggle={(event) => {
          open.value = (event as ToggleEvent).newState === "open";
          if (open.value) place();
        }}
      >
        {items.map((item, at) => (
          <button
            key={at}
            type="button"
            role={item.checked === undefined ? "menuitem" : "menuitemradio"}
            aria-checked={item.checked}
            onClick={() => {
              list.current?.hidePopover();
              button.current?.focus();
              item.run();
            }}
          >
            {item.icon && <Icon name={item.icon} />}
            {item.words}
          </button>
        ))}
      </div>
    </>
  );
}
