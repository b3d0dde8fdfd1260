// Buttons. One that the caller may not use stays in place and in the tab order, and tells which
// role it needs or that the host is out of reach.

import type { ComponentChildren } from "preact";
import { useSignal } from "@preact/signals";

import { offline } from "../api/connection";
import { type Role, may } from "../api/session";
import { Hint } from "./hint";
import { Icon, type IconName } from "./icon";

interface Look {
  /** The page's first action. */
  first?: boolean;
  danger?: boolean;
  quiet?: boolean;
  icon?: IconName;
  class?: string;
}

export interface ButtonProps extends Look {
  /** A button with an icon alone has its words here. */
  label?: string;
  children?: ComponentChildren;
  /** Role that the action needs. An action with one also needs the host. */
  needs?: Role;
  /** Why it cannot be used now. */
  disabled?: string | false | null | undefined;
  pressed?: boolean;
  expanded?: boolean;
  /** Key that does the same, for the hint. */
  keys?: string;
  onClick?: (event: MouseEvent) => void | Promise<void>;
  type?: "button" | "submit";
  autofocus?: boolean;
  id?: string;
}

/** Returns why a caller cannot use an action; null if they can. */
export function refusal(needs: Role | undefined): string | null {
  if (!needs) return null;
  if (!may(needs)) return `Needs the role ${needs}.`;
  if (offline.value) return "Skep does not answer. Changes wait until it does.";
  return null;
}

export function classes({ first, danger, quiet, icon, class: more }: Look, alone = false): string {
  return [
    "button",
    first && "first",
    danger && "danger",
    quiet && "quiet",
    icon && alone && "icon",
    more,
  ]
    .filter(Boolean)
    .join(" ");
}

export function Button(props: ButtonProps) {
  const busy = useSignal(false);
  const why = props.disabled || refusal(props.needs);
  const alone = props.children === undefined;
  const hint = why || (alone ? props.label : null);
  const click = async (event: MouseEvent) => {
    if (why || busy.peek()) {
      event.preventDefault();
      return;
    }
    const work = props.onClick?.(event);
    if (!(work instanceof Promise)) return;
    busy.value = true;
    try {
      await work;
    } finally {
      busy.value = false;
    }
  };
  return (
    <Hint text={hint} keys={props.keys}>
      <button
        id={props.id}
        type={props.type ?? "button"}
        class={classes(props, alone)}
        aria-label={alone ? props.label : undefined}
        aria-disabled={why || busy.value ? "true" : undefined}
        aria-busy={busy.value || undefined}
        aria-pressed={props.pressed}
        aria-expanded={props.expanded}
        autofocus={props.autofocus}
        onClick={click}
      >
        {props.icon && <Icon name={props.icon} />}
        {props.children}
      </button>
    </Hint>
  );
}
