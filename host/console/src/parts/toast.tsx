// Toasts: what was done, for a few seconds, with Undo where it can be undone.

import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { signal } from "@preact/signals";

import { sentence } from "../api/problem";
import { Button } from "./button";
import { Icon } from "./icon";

export interface Toast {
  text: ComponentChildren;
  tone?: "done" | "failed";
  /** Takes the change back. */
  undo?: () => Promise<unknown>;
}

/** How long a toast stays, in milliseconds. One with Undo waits longer. */
const STAY_MS = { plain: 5_000, undo: 12_000 };

/** Toasts at a time; older ones leave. */
const MOST = 4;

interface Shown extends Toast {
  id: number;
}

const shown = signal<readonly Shown[]>([]);
let next = 0;

/** Shows a toast. */
export function toast(what: Toast): void {
  next += 1;
  shown.value = [...shown.value, { ...what, id: next }].slice(-MOST);
}

/** Shows a failure. */
export function toastFailure(what: string, error: unknown): void {
  toast({ tone: "failed", text: `${what} ${sentence(error)}` });
}

function leave(id: number): void {
  shown.value = shown.value.filter((one) => one.id !== id);
}

/** The place where toasts show; the shell has one. It stays above open dialogs. */
export function Toasts() {
  const place = useRef<HTMLDivElement>(null);
  const some = shown.value.length > 0;
  useEffect(() => {
    const top = place.current;
    // Hidden and shown again, it moves above a dialog that was opened since.
    if (top?.matches(":popover-open")) top.hidePopover();
    if (some) top?.showPopover();
  }, [shown.value]);
  return (
    <div class="toasts" popover="manual" ref={place} role="status" aria-live="polite">
      {shown.value.map((one) => (
        <Message key={one.id} {...one} />
      ))}
    </div>
  );
}

function Message({ id, text, tone, undo }: Shown) {
  const element = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const stay = undo ? STAY_MS.undo : STAY_MS.plain;
    let timer: ReturnType<typeof setTimeout>;
    const wait = () => {
      timer = setTimeout(() => {
        // A toast that is being read or used stays.
        if (element.current?.matches(":hover, :focus-within")) wait();
        else leave(id);
      }, stay);
    };
    wait();
    return () => clearTimeout(timer);
  }, []);
  return (
    <div class="toast" ref={element}>
      <span class={tone === "failed" ? "state bad" : "state good"}>
        <Icon name={tone === "failed" ? "error" : "check"} />
      </span>
      <div class="words">{text}</div>
      {undo && (
        <Button
          icon="undo"
          onClick={async () => {
            try {
              await undo();
              leave(id);
            } catch (error) {
              toastFailure("It was not undone.", error);
            }
          }}
        >
          Undo
        </Button>
      )}
      <Button quiet icon="close" label="Dismiss" onClick={() => leave(id)} />
    </div>
  );
}
