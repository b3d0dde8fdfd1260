// The details of one entry: its whole body in steps, its link, and what can be done about a denial.

import { useState } from "preact/hooks";

import { request, url, workerPath } from "../../api/client";
import type { Entry } from "../../api/entry";
import { sentence } from "../../api/problem";
import { Body } from "../../parts/body";
import { Button } from "../../parts/button";
import { copy } from "../../parts/empty";
import { Time } from "../../parts/time";
import { bytes as size, grouped } from "../../text/bytes";
import { bodyLength } from "./entry-text";
import type { LiveWorker } from "./live";

/** Longest body that is read into the page. A longer one is downloaded. */
const WHOLE_BYTES = 8 << 20;

export function EntryDetails({
  live,
  entry,
  aside,
}: {
  live: LiveWorker;
  entry: Entry;
  aside?: preact.ComponentChildren;
}) {
  const [whole, setWhole] = useState<Entry | null>(null);
  const [problem, setProblem] = useState<unknown>(null);
  const base = `${workerPath(live.ref)}/transcript/${entry.seq}`;
  const shown = whole ?? entry;
  const length = bodyLength(entry);
  const isCut = shown.body_bytes != null;
  const hasBody = length > 0;
  const load = async () => {
    try {
      setWhole(await request<Entry>("get", base));
    } catch (error) {
      setProblem(error);
    }
  };
  const link = `${location.origin}${location.pathname}#seq=${entry.seq}`;
  return (
    <>
      {aside}
      {hasBody && <Body content={shown} cut={isCut} />}
      {problem !== null && <p class="state bad">{sentence(problem)}</p>}
      <div class="row wrap entry-foot">
        {isCut && length <= WHOLE_BYTES && <Button onClick={load}>Read all {size(length)}</Button>}
        {hasBody && (
          <a class="button quiet" href={url(`${base}/body`)} download={`${live.ref.worker_id}-${entry.seq}`}>
            Download {size(length)}
          </a>
        )}
        {shown.body != null && hasBody && (
          <Button
            quiet
            icon="copy"
            onClick={() => copy(shown.body ?? "", isCut ? "The part that is shown was copied." : "Copied.")}
          >
            Copy
          </Button>
        )}
        <Button quiet icon="copy" onClick={() => copy(link, "The link was copied.")}>
          Link
        </Button>
        <span class="muted small">
          <Time at={entry.at} exact />{" "}
          {entry.content_type && hasBody && (
            <>
              · <bdi>{entry.content_type}</bdi> · {grouped(length)} B
            </>
          )}
        </span>
      </div>
    </>
  );
}
