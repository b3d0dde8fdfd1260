// What a step printed, line by line, followed while it runs. A line is text of a guest: text nodes,
// visible escapes, and the colours of SGR. Nothing in it is a command.

import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";

import { type Schemas, call } from "../../api/client";
import { generation } from "../../api/fleet";
import { isAbort } from "../../api/problem";
import { Button } from "../../parts/button";
import { CommandLine } from "../../parts/empty";
import { Segments } from "../../parts/field";
import { GuestText, LongText } from "../../parts/guest-text";
import { Skeleton } from "../../parts/load";
import { ProblemView } from "../../parts/problem";
import { bytes as size, grouped } from "../../text/bytes";
import { SHOWN_BYTES, neutral } from "../../text/guest";
import { fromBase64 } from "../../text/hex";
import { quoted } from "./words";

type Line = Schemas["LogRecord"];

/** Time between two looks at a log that grows, in milliseconds. */
const EVERY_MS = 500;

/** Lines that a page keeps: the last ones. */
const KEPT = 5_000;

/** Lines that are shown at first. */
const SHOWN = 500;

/** Pages that are read in a row. A longer log is read on when asked. */
const PAGES = 20;

interface Read {
  lines: Line[];
  /** Lines that were read and are not kept. */
  left: number;
  ended: boolean;
  /** True if there is more to read, and nobody has asked for it. */
  paused: boolean;
  error?: unknown;
}

const NOTHING: Read = { lines: [], left: 0, ended: false, paused: false };

/** Reads a log to its end, while it grows. */
function useLog(run: string, step: string): [Read, () => void] {
  const [read, setRead] = useState<Read>(NOTHING);
  const [asked, setAsked] = useState(0);
  const after = useRef(0);
  const back = generation.value;
  useEffect(() => {
    const gone = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    let pages = 0;
    const next = async (): Promise<void> => {
      try {
        const page = await call("get", "/api/ci/runs/{run_id}/log", {
          path: { run_id: run },
          query: { step, after: after.current },
          signal: gone.signal,
        });
        if (gone.signal.aborted) return;
        const { records, ended } = page;
        after.current = records.at(-1)?.seq ?? after.current;
        pages = records.length > 0 ? pages + 1 : 0;
        const paused = !ended && pages >= PAGES;
        setRead((now) => {
          const all = [...now.lines, ...records];
          const over = Math.max(0, all.length - KEPT);
          return { lines: over ? all.slice(over) : all, left: now.left + over, ended, paused };
        });
        if (ended || paused) return;
        if (records.length > 0 && pages > 1) void next();
        else timer = setTimeout(() => void next(), EVERY_MS);
      } catch (error) {
        if (isAbort(error) || gone.signal.aborted) return;
        setRead((now) => ({ ...now, error }));
      }
    };
    void next();
    return () => {
      gone.abort();
      clearTimeout(timer);
    };
  }, [run, step, asked, back]);
  return [read, () => setAsked((count) => count + 1)];
}

type Stream = "all" | Line["stream"];

export function Log({ run, step, live }: { run: string; step: string; live: boolean }) {
  const [{ lines, left, ended, paused, error }, again] = useLog(run, step);
  const [stream, setStream] = useState<Stream>("all");
  const [most, setMost] = useState(SHOWN);
  const [follow, setFollow] = useState(live);
  const box = useRef<HTMLDivElement>(null);
  const picked = stream === "all" ? lines : lines.filter((line) => line.stream === stream);
  const shown = picked.slice(-most);
  const earlier = picked.length - shown.length;
  const last = shown.at(-1)?.seq;
  useLayoutEffect(() => {
    if (follow && box.current) box.current.scrollTop = box.current.scrollHeight;
  }, [follow, last, stream]);
  const onScroll = () => {
    const { scrollTop, scrollHeight, clientHeight } = box.current!;
    setFollow(!ended && scrollHeight - scrollTop - clientHeight < 24);
  };
  const command = `skep ci logs ${run} ${neutral(quoted(step))}`;
  return (
    <section class="card" aria-label="Log">
      <header class="wrap">
        <h2>Log</h2>
        {live && <span class="badge calm">{follow ? "following" : "live"}</span>}
        <span class="grow" />
        {live && (
          <Button quiet pressed={follow} onClick={() => setFollow(!follow)}>
            Follow
          </Button>
        )}
        <Segments
          label="Stream"
          value={stream}
          options={[
            { value: "all", words: "All" },
            { value: "stdout", words: "Output" },
            { value: "stderr", words: "Errors" },
          ]}
          onChange={setStream}
        />
      </header>
      {error !== undefined && <ProblemView error={error} retry={again} />}
      {left > 0 && (
        <div class="inside stack">
          <p class="muted">{grouped(left)} lines before these are not shown here.</p>
          <CommandLine command={command} />
        </div>
      )}
      {earlier > 0 && (
        <p class="inside">
          <Button onClick={() => setMost(most + 4 * SHOWN)}>Show earlier ({grouped(earlier)} lines)</Button>
        </p>
      )}
      {shown.length === 0 ? (
        <div class="inside">
          {ended || stream !== "all" ? (
            <p class="muted">It printed nothing{stream === "all" ? "" : " there"}.</p>
          ) : live ? (
            <p class="muted">Nothing printed yet.</p>
          ) : (
            error === undefined && <Skeleton lines={4} />
          )}
        </div>
      ) : (
        <div ref={box} class="ci-log" role="region" aria-label="What it printed" tabIndex={0} onScroll={onScroll}>
          {shown.map((line, at) => (
            <LogLine key={line.seq} line={line} again={line.attempt !== (shown[at - 1]?.attempt ?? 1)} />
          ))}
        </div>
      )}
      {paused && (
        <p class="inside">
          <Button onClick={again}>Read on</Button>
        </p>
      )}
    </section>
  );
}

const decoder = new TextDecoder();

/** The text of a line. Bytes that are no text become the replacement character. */
function textOf(line: Line): string {
  if (line.base64 == null) return line.text ?? "";
  return decoder.decode(fromBase64(line.base64) ?? new Uint8Array());
}

function LogLine({ line, again }: { line: Line; again: boolean }) {
  const text = textOf(line);
  const err = line.stream === "stderr";
  return (
    <>
      {again && <div class="attempt">Attempt {grouped(line.attempt)}</div>}
      <div class={err ? "line err" : "line"}>
        <span class="stream">{err ? "err" : "out"}</span>
        {line.gap != null ? (
          <span class="muted">{size(line.gap)} were not kept</span>
        ) : text.length > SHOWN_BYTES ? (
          <LongText text={text} />
        ) : (
          <span class="text">
            <GuestText text={text} />
          </span>
        )}
      </div>
    </>
  );
}
