// JSON as a tree that opens where a person looks. Numbers and strings are shown as the source
// spells them; strings are guest text.

import { useMemo, useState } from "preact/hooks";

import type { JsonDocument } from "../text/json";
import { GuestText } from "./guest-text";

/** Members and items of one value that are shown at a time. */
const PAGE = 100;

/** Values with no more members than this are open at first, down to a small depth. */
const OPEN_COUNT = 24;
const OPEN_DEPTH = 2;

/** Bytes of one string that are shown. */
const STRING_BYTES = 2048;

export function JsonView({ document }: { document: JsonDocument }) {
  return (
    <div class="json" tabIndex={0} role="group" aria-label="JSON">
      <Value document={document} value={document.root} depth={0} />
    </div>
  );
}

interface ValueProps {
  document: JsonDocument;
  value: number;
  depth: number;
  name?: string | undefined;
}

function Value({ document, value, depth, name }: ValueProps) {
  const kind = document.kind(value);
  const count = document.count(value);
  const [open, setOpen] = useState(count <= OPEN_COUNT && depth < OPEN_DEPTH);
  const [shown, setShown] = useState(PAGE);
  const label = name !== undefined && (
    <>
      <span class="key">
        "<GuestText text={name} most={STRING_BYTES} />"
      </span>
      {": "}
    </>
  );
  if (kind !== "object" && kind !== "array") {
    return (
      <div class="json-line">
        {label}
        <span class={`json-${kind}`}>
          <GuestText text={document.text(value)} most={STRING_BYTES} />
        </span>
      </div>
    );
  }
  const [left, right] = kind === "object" ? ["{", "}"] : ["[", "]"];
  if (count === 0) {
    return (
      <div class="json-line">
        {label}
        {left}
        {right}
      </div>
    );
  }
  return (
    <div>
      <div class="json-line">
        <button type="button" class="fold" aria-expanded={open} onClick={() => setOpen(!open)}>
          <span class="sign" aria-hidden="true">
            {open ? "▾" : "▸"}
          </span>
          {label}
          {left}
          {!open && (
            <>
              <span class="muted">
                {" "}
                {count}{" "}
                {kind === "object"
                  ? count === 1
                    ? "member"
                    : "members"
                  : count === 1
                    ? "item"
                    : "items"}{" "}
              </span>
              {right}
            </>
          )}
        </button>
      </div>
      {open && (
        <>
          <div class="json-inside">
            <Children document={document} value={value} depth={depth + 1} shown={shown} />
            {shown < count && (
              <button type="button" class="more" onClick={() => setShown(shown + PAGE)}>
                {count - shown} more
              </button>
            )}
          </div>
          <div class="json-line">{right}</div>
        </>
      )}
    </div>
  );
}

function Children({ document, value, depth, shown }: Omit<ValueProps, "name"> & { shown: number }) {
  const children = useMemo(() => document.children(value, 0, shown), [document, value, shown]);
  return (
    <>
      {children.map((child) => (
        <Value key={child.value} document={document} value={child.value} depth={depth} name={child.key} />
      ))}
    </>
  );
}
