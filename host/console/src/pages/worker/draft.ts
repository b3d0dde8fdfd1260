// Inputs being written. A draft lives as long as the page, through tabs, offline times and logins,
// and in no storage: it may hold what nothing should keep.

import { type Signal, signal } from "@preact/signals";

import { JsonError, parseJson } from "../../text/json";
import { fromHex } from "../../text/hex";

export type Mode = "form" | "text" | "json" | "hex" | "file";

export interface Draft {
  readonly mode: Signal<Mode>;
  readonly text: Signal<string>;
  readonly hex: Signal<string>;
  readonly file: Signal<File | null>;
  /** Arguments and variables, one on each line. */
  readonly args: Signal<string>;
  readonly env: Signal<string>;
  readonly stdin: Signal<string>;
  /** Empty for the mode's own. */
  readonly contentType: Signal<string>;
  /** Empty for a new key at each sending. */
  readonly key: Signal<string>;
  readonly waits: Signal<boolean>;
}

const drafts = new Map<string, Draft>();

/** Returns the draft for a worker. */
export function draftFor(worker: string, isCommand: boolean): Draft {
  let draft = drafts.get(worker);
  if (draft === undefined) {
    draft = {
      mode: signal<Mode>(isCommand ? "form" : "text"),
      text: signal(""),
      hex: signal(""),
      file: signal(null),
      args: signal(""),
      env: signal(""),
      stdin: signal(""),
      contentType: signal(""),
      key: signal(""),
      waits: signal(true),
    };
    drafts.set(worker, draft);
  }
  return draft;
}

/** A draft as it is sent, or the reason that it cannot be. */
export type Ready =
  | { readonly body: Uint8Array<ArrayBuffer> | File; readonly contentType: string }
  | { readonly problem: string };

const encoder = new TextEncoder();

const TYPES: Record<Mode, string> = {
  form: "application/json",
  text: "text/plain; charset=utf-8",
  json: "application/json",
  hex: "application/octet-stream",
  file: "application/octet-stream",
};

/** Returns the content type of a draft if the person types none. */
export function typeOf(draft: Draft): string {
  if (draft.mode.value === "file") return draft.file.value?.type || TYPES.file;
  return TYPES[draft.mode.value];
}

/** Checks a draft and makes the bytes of its input. JSON is sent as it was typed. */
export function readDraft(draft: Draft): Ready {
  const contentType = draft.contentType.value.trim() || typeOf(draft);
  switch (draft.mode.value) {
    case "text":
      return { body: encoder.encode(draft.text.value), contentType };
    case "json": {
      // An empty message is a message too.
      if (draft.text.value.trim() === "") return { body: encoder.encode(""), contentType };
      try {
        parseJson(draft.text.value);
      } catch (error) {
        if (error instanceof JsonError) return { problem: `This is not JSON: ${error.message}.` };
        throw error;
      }
      return { body: encoder.encode(draft.text.value), contentType };
    }
    case "hex": {
      const read = fromHex(draft.hex.value);
      if ("problem" in read) return { problem: `These are not bytes: ${read.problem}.` };
      return { body: read.bytes as Uint8Array<ArrayBuffer>, contentType };
    }
    case "file":
      return draft.file.value ? { body: draft.file.value, contentType } : { problem: "Choose a file first." };
    case "form":
      return form(draft, contentType);
  }
}

function form(draft: Draft, contentType: string): Ready {
  const lines = (text: string) => text.split("\n").filter((line) => line !== "");
  const env: Record<string, string> = {};
  for (const line of lines(draft.env.value)) {
    const at = line.indexOf("=");
    if (at < 1) return { problem: `A variable is NAME=value; "${line.slice(0, 40)}" is none.` };
    env[line.slice(0, at)] = line.slice(at + 1);
  }
  const command = { args: lines(draft.args.value), env, stdin: draft.stdin.value };
  return { body: encoder.encode(JSON.stringify(command)), contentType };
}

/** Empties a draft after it was sent. Its mode stays: the next input is likely of the same form. */
export function clearDraft(draft: Draft): void {
  draft.text.value = "";
  draft.hex.value = "";
  draft.file.value = null;
  draft.stdin.value = "";
  draft.key.value = "";
}

/** True if nothing was written in the draft's present mode. */
export function isEmptyDraft(draft: Draft): boolean {
  switch (draft.mode.value) {
    case "text":
    case "json":
      return draft.text.value === "";
    case "hex":
      return draft.hex.value === "";
    case "file":
      return draft.file.value === null;
    case "form":
      return draft.args.value + draft.env.value + draft.stdin.value === "";
  }
}
