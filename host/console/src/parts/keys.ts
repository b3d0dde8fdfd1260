// Commands: what can be done on the present page, by key, in the palette and in the list that `?`
// shows. Single keys can be switched off, and none destroys anything.

import { computed, signal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";

import { singleKeys } from "../prefs";

export interface Command {
  /** What it does, as the palette and the list of keys say it. */
  does: string;
  /** Keys: `j`, `Shift+E`, `g w` one after the other, `Mod+K` with Ctrl or ⌘. */
  keys?: string | undefined;
  /** Heading in the list of keys. */
  group: string;
  run: () => void;
  /** False for a command that is only a key, such as moving by one row. */
  listed?: boolean;
}

/** Time for the second key of two, in milliseconds. */
const SECOND_KEY_MS = 1_200;

const sets = signal<readonly (readonly Command[])[]>([]);

/** All commands, those of the present page last. */
export const commands = computed(() => sets.value.flat());

/** Adds commands and returns a function that takes them away. Later ones win over earlier. */
export function addCommands(added: readonly Command[]): () => void {
  sets.value = [...sets.value, added];
  return () => {
    sets.value = sets.value.filter((one) => one !== added);
  };
}

/** Adds commands while a component is there. Their `run` is always the one of the last render. */
export function useCommands(wanted: readonly Command[]): void {
  const latest = useRef(wanted);
  latest.current = wanted;
  const names = wanted.map(({ does, keys }) => `${does}\t${keys ?? ""}`).join("\n");
  useEffect(
    () =>
      addCommands(
        latest.current.map((one, at) => ({
          ...one,
          run: () => latest.current[at]?.run(),
        })),
      ),
    [names],
  );
}

/** Writes a key press as `keys` does. */
export function keyOf(event: Pick<KeyboardEvent, "key" | "ctrlKey" | "metaKey" | "altKey" | "shiftKey">): string {
  const parts: string[] = [];
  if (event.ctrlKey || event.metaKey) parts.push("Mod");
  if (event.altKey) parts.push("Alt");
  const letter = /^\p{L}$/u.test(event.key);
  // For signs such as `?`, how the keyboard produces them does not matter.
  if (event.shiftKey && (letter || event.key.length > 1)) parts.push("Shift");
  parts.push(letter && parts.length ? event.key.toUpperCase() : event.key === " " ? "Space" : event.key);
  return parts.join("+");
}

/** True where keys write text or belong to the control. */
function isField(target: EventTarget | null): boolean {
  if (!(target instanceof HTMLElement)) return false;
  if (target.isContentEditable || target.matches("textarea, select")) return true;
  return (
    target instanceof HTMLInputElement &&
    !["checkbox", "radio", "button", "submit", "file", "range"].includes(target.type)
  );
}

let first: { key: string; at: number } | null = null;

/** Finds the command for a key press; keeps the first of two keys. Exported for its test. */
export function find(key: string, among: readonly Command[], at: number): Command | null {
  const sequence = first && at - first.at < SECOND_KEY_MS ? `${first.key} ${key}` : null;
  first = null;
  if (sequence) {
    const both = among.findLast((one) => one.keys === sequence);
    if (both) return both;
  }
  const single = among.findLast((one) => one.keys === key);
  if (single) return single;
  if (among.some((one) => one.keys?.startsWith(`${key} `))) first = { key, at };
  return null;
}

function onKeyDown(event: KeyboardEvent): void {
  if (event.defaultPrevented || event.isComposing) return;
  if (["Shift", "Control", "Meta", "Alt"].includes(event.key)) return;
  const key = keyOf(event);
  const modified = /^(Mod|Alt)\+/.test(key);
  if (!modified) {
    if (singleKeys.value === "off" || isField(event.target)) return;
    // Keys belong to an open dialog or menu.
    if (document.querySelector("dialog[open], .menu:popover-open")) return;
    // Enter and Space press the control that has the focus.
    const pressing = key === "Enter" || key === "Space";
    if (pressing && event.target instanceof Element && event.target.closest("a, button, summary")) {
      return;
    }
  }
  const command = find(key, commands.value, event.timeStamp);
  if (!command) return;
  event.preventDefault();
  command.run();
}

/** Starts listening for keys. */
export function startKeys(): void {
  document.addEventListener("keydown", onKeyDown);
}

/** Writes keys for people: `Mod+K` is `Ctrl K` or `⌘ K`. */
export function keysText(keys: string): string {
  const mac = /Mac|iPhone|iPad/.test(navigator.platform);
  return keys.replace(/Mod\+/g, mac ? "⌘ " : "Ctrl ").replace(/Shift\+/g, "⇧ ");
}
