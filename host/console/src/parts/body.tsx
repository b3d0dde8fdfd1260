// Bytes that a guest or a person made, shown by what they are: JSON as a tree, text, or a dump.

import { useMemo, useState } from "preact/hooks";

import { bytes as size } from "../text/bytes";
import { dump, fromBase64, utf8 } from "../text/hex";
import { tryJson } from "../text/json";
import { Segments } from "./field";
import { LongText } from "./guest-text";
import { JsonView } from "./json-view";

/** Bytes as the API carries them: text where they are UTF-8, else base64. */
export interface Content {
  content_type?: string | null | undefined;
  body?: string | null | undefined;
  body_base64?: string | null | undefined;
}

type View = "json" | "text" | "hex";

/** Lines of a dump that are shown at a time. */
const DUMP_LINES = 64;

/** JSON longer than this is not searched for structure by itself. */
const JSON_UNITS = 8 << 20;

const encoder = new TextEncoder();

/** Returns the bytes of a content. */
export function bytesOf({ body, body_base64 }: Content): Uint8Array {
  if (body_base64 != null) return fromBase64(body_base64) ?? new Uint8Array();
  return encoder.encode(body ?? "");
}

export interface BodyProps {
  content: Content;
  /** True if this is the beginning of a longer body: it is no whole JSON then. */
  cut?: boolean;
}

export function Body({ content, cut = false }: BodyProps) {
  const { content_type: type, body } = content;
  const text = useMemo(
    () => (content.body_base64 == null ? (body ?? "") : utf8(bytesOf(content))),
    [content.body_base64, body],
  );
  const json = useMemo(() => {
    if (cut || text === undefined || text.length > JSON_UNITS) return undefined;
    const claims = /\bjson\b/i.test(type ?? "");
    return claims || /^\s*[[{]/.test(text) ? tryJson(text) : undefined;
  }, [text, type, cut]);
  const best: View = json ? "json" : text !== undefined ? "text" : "hex";
  const [chosen, setChosen] = useState<View | null>(null);
  const view = chosen === "json" && !json ? best : (chosen ?? best);
  const views: View[] = [
    ...(json ? ["json" as const] : []),
    ...(text !== undefined ? ["text" as const] : []),
    "hex",
  ];
  if (text === "") return <span class="muted">empty</span>;
  return (
    <div class="body-view">
      {views.length > 1 && (
        <Segments
          label="View as"
          value={view}
          options={views.map((value) => ({
            value,
            words: { json: "JSON", text: "Text", hex: "Hex" }[value],
          }))}
          onChange={setChosen}
        />
      )}
      {view === "json" && json && <JsonView document={json} />}
      {view === "text" && <LongText text={text ?? ""} />}
      {view === "hex" && <Dump content={content} />}
    </div>
  );
}

function Dump({ content }: { content: Content }) {
  const all = useMemo(() => bytesOf(content), [content.body, content.body_base64]);
  const [lines, setLines] = useState(DUMP_LINES);
  const left = all.length - lines * 16;
  return (
    <div class="long-text">
      <pre tabIndex={0} class="dump">
        {dump(all, 0, lines).map((line) => (
          <div key={line.offset}>
            <span class="muted">{line.offset}</span>
            {"  "}
            {line.hex.padEnd(48)}
            {"  "}
            {line.text}
          </div>
        ))}
      </pre>
      {left > 0 && (
        <button type="button" class="more" onClick={() => setLines(lines + 4 * DUMP_LINES)}>
          {size(left)} more
        </button>
      )}
    </div>
  );
}
