// An entry in one line of words: what Skep wrote as JSON becomes a sentence, what a guest wrote
// stays as it is.

import type { Entry, EntryKind } from "../../api/entry";
import { type Grants, type HttpGrant, grantLines } from "../../grants/grants";
import { bytes as size, grouped } from "../../text/bytes";
import { duration } from "../../text/time";

/** Groups of kinds that a person filters by. */
export const KIND_GROUPS: readonly { name: string; words: string; kinds: readonly EntryKind[] }[] = [
  { name: "turns", words: "Inputs and outputs", kinds: ["input", "output"] },
  { name: "events", words: "Events", kinds: ["event"] },
  { name: "logs", words: "Logs", kinds: ["log"] },
  { name: "failures", words: "Failures", kinds: ["failure", "failed", "interrupted"] },
  { name: "denials", words: "Denials", kinds: ["denied"] },
  { name: "requests", words: "Requests", kinds: ["request", "access"] },
  {
    name: "life",
    words: "Life of the worker",
    kinds: [
      "created",
      "connected",
      "disconnected",
      "started",
      "stopped",
      "updated",
      "rolled_back",
      "compiled",
    ],
  },
];

/** The class of a kind's look; the style sheet has its colour and sign. */
export const KIND_LOOK: Partial<Record<EntryKind, string>> = {
  input: "in",
  output: "out",
  event: "event",
  failure: "bad",
  failed: "bad",
  interrupted: "bad",
  denied: "warn",
  request: "sent",
  access: "bad",
};

/** A record that Skep wrote; undefined if the body is none. */
function record(entry: Entry): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(entry.body ?? "");
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

const text = (value: unknown): string => (typeof value === "string" ? value : "");
const number = (value: unknown): number => (typeof value === "number" ? value : 0);
const digest = (value: unknown): string => {
  const hex = text(value).replace(/^sha256:/, "");
  return hex ? hex.slice(0, 12) : "none";
};

/** Returns the sentence of an entry that Skep wrote; undefined for one whose body is the message. */
export function sentenceOf(entry: Entry): string | undefined {
  const fields = record(entry);
  switch (entry.kind) {
    case "failure": {
      if (!fields) return undefined;
      const limit = fields["limit"] ? ` (limit ${text(fields["limit"])})` : "";
      return `${text(fields["message"]) || text(fields["code"])}${limit}`;
    }
    case "denied":
      return text(fields?.["wanted"]) || entry.label || "access without a grant";
    case "request":
      return fields && request(fields);
    case "access":
      return fields && access(entry.label ?? "", fields);
    case "updated":
    case "rolled_back":
      if (entry.label === "grants") return granted(fields);
      if (entry.label === "limits") return fields ? limits(fields) : undefined;
      return fields && switched(fields);
    case "compiled": {
      if (!fields) return undefined;
      const took =
        fields["cached"] === true ? "from the cache" : `in ${duration(number(fields["compile_ms"]))}`;
      return `${digest(fields["component"])} ${took}, ${size(number(fields["compiled_bytes"]))}; the turn waited ${duration(number(fields["wait_ms"]))}`;
    }
    default:
      return undefined;
  }
}

function request(fields: Record<string, unknown>): string {
  const scheme = text(fields["scheme"]);
  const port = number(fields["port"]);
  const bare = port === (scheme === "https" ? 443 : 80);
  const host = text(fields["host"]);
  const origin = `${scheme}://${host.includes(":") ? `[${host}]` : host}${bare ? "" : `:${port}`}`;
  const end = fields["status"] !== undefined ? ` ${number(fields["status"])}` : "";
  const error = fields["error"] ? ` ${text(fields["error"])}` : "";
  const sent = size(number(fields["sent_bytes"]));
  const received = size(number(fields["received_bytes"]));
  const took = duration(number(fields["wall_ms"]));
  const target = `${text(fields["method"])} ${origin}${end}${error}`;
  return `${target} · ${sent} sent, ${received} received, ${took}`;
}

/** A request to an HTTP worker that was not answered whole. */
function access(reason: string, fields: Record<string, unknown>): string {
  const others = number(fields["others"]);
  const more = others > 0 ? `; ${others} more like it` : "";
  const trap = fields["trap"] ? `: ${text(fields["trap"])}` : "";
  const took = duration(number(fields["wall_ms"]));
  const target = `${text(fields["method"])} ${text(fields["target"])} ${number(fields["status"])}`;
  return `${target} · ${reason}${trap}, ${took}${more}`;
}

function granted(fields: Record<string, unknown> | undefined): string {
  if (!fields) return "grants";
  const grants: Grants = {
    scopes: Array.isArray(fields["scopes"]) ? (fields["scopes"] as Grants["scopes"]) : [],
    http: Array.isArray(fields["http"]) ? (fields["http"] as HttpGrant[]) : [],
    secrets: Array.isArray(fields["secrets"]) ? (fields["secrets"] as string[]) : [],
  };
  const lines = grantLines(grants).map((line) => `${line.kind} ${line.text}`);
  return lines.length === 0 ? "none" : lines.join(", ");
}

function limits(fields: Record<string, unknown>): string {
  const all = Object.entries(fields).map(
    ([name, value]) => `${name} ${typeof value === "number" ? grouped(value) : "off"}`,
  );
  return all.length === 0 ? "defaults" : all.join(", ");
}

function switched(fields: Record<string, unknown>): string {
  const from = (fields["from"] ?? {}) as Record<string, unknown>;
  const to = (fields["to"] ?? {}) as Record<string, unknown>;
  const parts: string[] = [];
  for (const name of ["component", "config"]) {
    if (from[name] !== to[name]) parts.push(`${name} ${digest(from[name])} → ${digest(to[name])}`);
  }
  return parts.join(", ") || "nothing changed";
}

/** Returns the exit code of a command's output; undefined for another output. */
export function exitCodeOf(entry: Entry): number | undefined {
  if (entry.kind !== "output" || !/json/.test(entry.content_type ?? "")) return undefined;
  const match = /^\{"exit_code":(-?[0-9]{1,10})[,}]/.exec(entry.body ?? "");
  return match ? Number(match[1]) : undefined;
}

/** Length of the whole body in bytes, as far as it is known. */
export function bodyLength(entry: Entry): number {
  if (entry.body_bytes != null) return entry.body_bytes;
  if (entry.body_base64 != null) return Math.floor((entry.body_base64.length * 3) / 4);
  return entry.body?.length ?? 0;
}
