// Empty places: what would be here, and how to get it.

import type { ComponentChildren } from "preact";

import { Button } from "./button";
import { Icon, type IconName } from "./icon";
import { toast, toastFailure } from "./toast";

export interface EmptyProps {
  icon: IconName;
  title: string;
  children?: ComponentChildren;
}

export function Empty({ icon, title, children }: EmptyProps) {
  return (
    <div class="empty">
      <Icon name={icon} />
      <h2>{title}</h2>
      {children}
    </div>
  );
}

/** Copies text and says so. */
export async function copy(text: string, what = "Copied."): Promise<void> {
  try {
    await navigator.clipboard.writeText(text);
    toast({ text: what });
  } catch (error) {
    toastFailure("The browser did not allow to copy.", error);
  }
}

/** A button that copies. */
export function CopyButton({ text, label = "Copy" }: { text: string; label?: string }) {
  return <Button quiet icon="copy" label={label} onClick={() => copy(text)} />;
}

/** A command to type in a terminal. */
export function CommandLine({ command }: { command: string }) {
  return (
    <span class="command-line">
      <code tabIndex={0}>{command}</code>
      <CopyButton text={command} label="Copy the command" />
    </span>
  );
}
