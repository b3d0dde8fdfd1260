// States, each with a word and a shape of its own, so that no meaning hangs on colour.

import type { Schemas } from "../api/client";

type Observed = Schemas["Observed"];
type Tone = "idle" | "good" | "busy" | "bad" | "warn" | "off";

const SHAPES = {
  ring: <circle cx="6" cy="6" r="4" fill="none" stroke="currentColor" stroke-width="1.6" />,
  dot: <circle cx="6" cy="6" r="4.6" fill="currentColor" />,
  // It does not turn: thousands of moving shapes would repaint the page in every frame.
  turning: (
    <g fill="none" stroke="currentColor" stroke-width="1.6" stroke-linecap="round">
      <path d="M10.4 6a4.4 4.4 0 1 1-2-3.7" />
      <circle cx="6" cy="6" r="1.1" fill="currentColor" />
    </g>
  ),
  square: <rect x="2" y="2" width="8" height="8" rx="1" fill="none" stroke="currentColor"
    stroke-width="1.6" />,
  cross: <path d="M2.5 2.5l7 7M9.5 2.5l-7 7" stroke="currentColor" stroke-width="2.2"
    stroke-linecap="round" />,
  tick: <path d="M2 6.5 4.8 9.4 10 3" fill="none" stroke="currentColor" stroke-width="2"
    stroke-linecap="round" stroke-linejoin="round" />,
  triangle: <path d="M6 1.5 11 10.5H1z" fill="none" stroke="currentColor" stroke-width="1.6"
    stroke-linejoin="round" />,
  half: (
    <g>
      <circle cx="6" cy="6" r="4.4" fill="none" stroke="currentColor" stroke-width="1.6" />
      <path d="M6 1.6a4.4 4.4 0 0 0 0 8.8z" fill="currentColor" />
    </g>
  ),
} as const;

export type Shape = keyof typeof SHAPES;

/** A word with its shape. */
export function State({ word, tone, shape }: { word: string; tone: Tone; shape: Shape }) {
  return (
    <span class={`state ${tone}`}>
      <svg viewBox="0 0 12 12" aria-hidden="true">
        {SHAPES[shape]}
      </svg>
      <span class="word">{word}</span>
    </span>
  );
}

const REASONS: Record<string, string> = {
  crash_loop: "crash loop",
  quarantined: "quarantined",
  uninstantiable: "cannot start",
  host_call_stuck: "stuck in a file call",
};

/** The state of a worker. */
export function WorkerState({ observed }: { observed: Observed }) {
  switch (observed.state) {
    case "idle":
      return <State word="Idle" tone="idle" shape="ring" />;
    case "busy":
      return <State word="Busy" tone="busy" shape="turning" />;
    case "exited":
      return observed.code === 0 ? (
        <State word="Exited 0" tone="good" shape="tick" />
      ) : (
        <State word={`Exited ${observed.code}`} tone="warn" shape="triangle" />
      );
    case "failed":
      return (
        <State
          word={`Failed: ${REASONS[observed.reason] ?? observed.reason}`}
          tone="bad"
          shape="cross"
        />
      );
    case "stopped":
      return <State word="Stopped" tone="off" shape="square" />;
  }
}

/** The availability of a runtime. */
export function RuntimeStatus({ status }: { status: Schemas["Status"] }) {
  if (status === "available") return <State word="Available" tone="good" shape="dot" />;
  if (status === "degraded") return <State word="Degraded" tone="warn" shape="half" />;
  return <State word="Unavailable" tone="bad" shape="cross" />;
}

/** The severity of a diagnostic. */
export function SeverityState({ severity }: { severity: Schemas["Severity"] }) {
  if (severity === "error") return <State word="Error" tone="bad" shape="cross" />;
  if (severity === "warning") return <State word="Warning" tone="warn" shape="triangle" />;
  return <State word="Info" tone="idle" shape="ring" />;
}
