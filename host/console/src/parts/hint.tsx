// Hints: a few words beside a control while it has the pointer or the focus. Escape closes one.

import type { ComponentChildren } from "preact";
import { useId, useRef } from "preact/hooks";
import { useSignal } from "@preact/signals";

export interface HintProps {
  text: string | null | undefined;
  keys?: string | undefined;
  children: ComponentChildren;
}

export function Hint({ text, keys, children }: HintProps) {
  const id = useId();
  const shown = useSignal(false);
  const holder = useRef<HTMLSpanElement>(null);
  if (!text && !keys) return <>{children}</>;
  const show = () => (shown.value = true);
  const hide = () => (shown.value = false);
  return (
    <span
      class="hinted"
      ref={holder}
      aria-describedby={shown.value ? id : undefined}
      onPointerEnter={show}
      onPointerLeave={hide}
      onFocusIn={show}
      onFocusOut={hide}
      onKeyDown={(event) => event.key === "Escape" && hide()}
    >
      {children}
      {shown.value && (
        <span
          class="hint"
          id={id}
          role="tooltip"
          popover="manual"
          ref={(hint) => {
            if (hint) place(hint, holder.current);
          }}
        >
          {text} {keys && <kbd>{keys}</kbd>}
        </span>
      )}
    </span>
  );
}

/** Shows a hint below its control, or above where there is no room. It never leaves the page. */
function place(hint: HTMLElement, control: HTMLElement | null): void {
  if (!control || hint.matches(":popover-open")) return;
  hint.showPopover();
  const of = control.getBoundingClientRect();
  const { width, height } = hint.getBoundingClientRect();
  const left = Math.min(Math.max(8, of.left + of.width / 2 - width / 2), innerWidth - width - 8);
  const below = of.bottom + 6;
  const top = below + height > innerHeight ? of.top - height - 6 : below;
  hint.style.setProperty("left", `${left}px`);
  hint.style.setProperty("top", `${top}px`);
}
