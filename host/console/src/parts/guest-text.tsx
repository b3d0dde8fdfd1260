// Guest text on a page: text nodes in a <bdi>, escapes visible, SGR colours as classes, and a cut
// after 4 KiB with a way to see more.

import { useState } from "preact/hooks";

import { bytes as size } from "../text/bytes";
import { SHOWN_BYTES, guestText } from "../text/guest";

export interface GuestTextProps {
  text: string;
  /** True to keep line feeds and tabs. */
  lines?: boolean;
  /** Bytes to show; without it, the first 4 KiB. */
  most?: number;
}

export function GuestText({ text, lines = false, most = SHOWN_BYTES }: GuestTextProps) {
  const { runs, hiddenBytes } = guestText(text, { lines, bytes: most });
  const only = runs.length === 1 && runs[0]?.classes === "" ? runs[0].text : null;
  return (
    <bdi class="guest">
      {only ??
        runs.map((run, at) =>
          run.classes ? (
            <i key={at} class={run.classes}>
              {run.text}
            </i>
          ) : (
            run.text
          ),
        )}
      {hiddenBytes > 0 && <i class="cut">…</i>}
    </bdi>
  );
}

/** Each step shows this much more of a long text. A browser lays out a line of 1 MB in seconds. */
const STEP_BYTES = 64 << 10;

/** A text of several lines that is shown in steps. */
export function LongText({ text }: { text: string }) {
  const [most, setMost] = useState(SHOWN_BYTES);
  const { hiddenBytes } = guestText(text, { lines: true, bytes: most });
  return (
    <div class="long-text">
      <pre tabIndex={0}>
        <GuestText text={text} lines most={most} />
      </pre>
      {hiddenBytes > 0 && (
        <button
          type="button"
          class="more"
          onClick={() => setMost(most < STEP_BYTES ? STEP_BYTES : most + STEP_BYTES)}
        >
          {size(hiddenBytes)} more
        </button>
      )}
    </div>
  );
}
