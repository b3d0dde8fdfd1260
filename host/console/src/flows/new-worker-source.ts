// The source of a new worker: a dropped or chosen file, or a component that a runtime has. Setting
// it opens the dialog on any page.

import { signal } from "@preact/signals";

import type { Schemas } from "../api/client";

export type Source =
  | { kind: "file"; file: File }
  | { kind: "stored"; runtimeId: string; component: Schemas["ComponentView"]; name?: string };

export const source = signal<Source | null>(null);

/** Opens the dialog for a file. */
export function offerFile(file: File): void {
  source.value = { kind: "file", file };
}

/** Lets the person choose a file, then opens the dialog for it. */
export function chooseFile(): void {
  const input = document.createElement("input");
  input.type = "file";
  input.accept = ".wasm,application/wasm";
  input.addEventListener("change", () => {
    const file = input.files?.[0];
    if (file) offerFile(file);
  });
  input.click();
}
