// Grants as lines, and a change of grants as a diff. Each mark is a word for screen readers and a
// shape for the eye, besides its colour.

import { neutral } from "../text/guest";
import { type GrantChange, type GrantLine, type Grants, diffGrants, grantLines } from "./grants";
import "./diff.css";

const KINDS: Record<GrantLine["kind"], string> = {
  directory: "directory",
  http: "requests",
  secret: "secret",
};

const MARKS: Record<GrantChange["mark"], { sign: string; word: string }> = {
  same: { sign: " ", word: "" },
  removed: { sign: "−", word: "Removed: " },
  added: { sign: "+", word: "Added: " },
};

/** Lines with marks. */
export function DiffLines({ lines }: { lines: { mark: GrantChange["mark"]; kind?: string; text: string }[] }) {
  return (
    <ul class="diff">
      {lines.map(({ mark, kind, text }, place) => (
        <li key={place} class={mark}>
          <span class="sign" aria-hidden="true">
            {MARKS[mark].sign}
          </span>
          <span class="unseen">{MARKS[mark].word}</span>
          {kind !== undefined && <span class="kind">{kind}</span>}
          <bdi class="mono">{neutral(text)}</bdi>
        </li>
      ))}
    </ul>
  );
}

/** The change from one set of grants to another. */
export function GrantDiff({ before, after }: { before: Grants; after: Grants }) {
  const changes = diffGrants(before, after);
  if (changes.length === 0) return <p class="muted">No grants.</p>;
  return (
    <DiffLines
      lines={changes.map(({ mark, line }) => ({ mark, kind: KINDS[line.kind], text: line.text }))}
    />
  );
}

/** Grants as they are. */
export function GrantList({ grants }: { grants: Grants }) {
  const lines = grantLines(grants);
  if (lines.length === 0) return <p class="muted">No grants: only its own directory /data.</p>;
  return (
    <ul class="diff">
      {lines.map((line) => (
        <li key={`${line.kind} ${line.text}`}>
          <span class="kind">{KINDS[line.kind]}</span>
          <bdi class="mono">{neutral(line.text)}</bdi>
        </li>
      ))}
    </ul>
  );
}
