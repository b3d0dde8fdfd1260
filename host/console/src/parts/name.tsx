// Names that guests or other people chose, and ids. They are text, isolated from the text around
// them, with control and bidirectional characters as visible escapes.

import { neutral } from "../text/guest";

/** A name that a guest or a person chose. */
export function Name({ text }: { text: string }) {
  return <bdi>{neutral(text)}</bdi>;
}

/** Returns a digest or id short enough for a row; the whole is in the title. */
export function shortId(id: string): string {
  const hex = id.startsWith("sha256:") ? id.slice(7) : id;
  return id.startsWith("sha256:") ? hex.slice(0, 12) : hex.length > 20 ? `…${hex.slice(-12)}` : hex;
}

export function Id({ id, whole = false }: { id: string; whole?: boolean }) {
  return (
    <code title={id}>
      <bdi>{whole ? id : shortId(id)}</bdi>
    </code>
  );
}
