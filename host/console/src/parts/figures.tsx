// Figures: gauges against a limit, progress, and sparklines.

import type { ComponentChildren } from "preact";

export interface GaugeProps {
  label: string;
  value: number;
  /** The limit; null if there is none. */
  most: number | null;
  /** Writes a value with its unit. */
  text: (value: number) => string;
}

/** Parts of a limit from which a gauge says near and full. */
const NEAR = 0.8;
const FULL = 0.97;

/** A value beside its limit. */
export function Gauge({ label, value, most, text }: GaugeProps) {
  const part = most ? Math.min(1, value / most) : 0;
  const tone = part >= FULL ? "full" : part >= NEAR ? "near" : "";
  const words = most === null ? `${text(value)}, no limit` : `${text(value)} of ${text(most)}`;
  return (
    <div class={`gauge ${tone}`}>
      <div class="row">
        <span class="grow">{label}</span>
        <span class="number">
          {text(value)}
          <span class="muted">{most === null ? " · no limit" : ` / ${text(most)}`}</span>
        </span>
      </div>
      <div
        class="track"
        role="meter"
        aria-label={label}
        aria-valuemin={0}
        aria-valuemax={most ?? value}
        aria-valuenow={value}
        aria-valuetext={tone === "full" ? `${words}, full` : words}
        style={{ "--part": `${part * 100}%` }}
      >
        <div class="fill" />
      </div>
    </div>
  );
}

export interface ProgressProps {
  label: string;
  done: number;
  total: number;
  children?: ComponentChildren;
}

export function Progress({ label, done, total, children }: ProgressProps) {
  const part = total > 0 ? Math.min(1, done / total) : 0;
  return (
    <div class="stack">
      <div
        class="progress"
        role="progressbar"
        aria-label={label}
        aria-valuemin={0}
        aria-valuemax={total}
        aria-valuenow={done}
        style={{ "--part": `${part * 100}%` }}
      >
        <i />
      </div>
      {children}
    </div>
  );
}

export interface SparklineProps {
  label: string;
  /** Points in time order. */
  values: readonly number[];
  /** Least top of the scale, so that noise near zero stays flat. */
  least?: number;
}

/** The course of a value. Without two points there is nothing to draw. */
export function Sparkline({ label, values, least = 1 }: SparklineProps) {
  const path = line(values, least);
  return (
    <svg class="sparkline" viewBox="0 0 100 32" preserveAspectRatio="none" role="img" aria-label={label}>
      {path && <path class="area" d={`${path}L100 32L0 32Z`} />}
      {path ? <path class="line" d={path} /> : <path class="line" d="M0 31L100 31" opacity="0.4" />}
    </svg>
  );
}

/** Draws values into 100 by 32 units. */
export function line(values: readonly number[], least: number): string | null {
  if (values.length < 2) return null;
  const top = Math.max(least, ...values);
  const step = 100 / (values.length - 1);
  return values
    .map((value, at) => {
      const x = (at * step).toFixed(2);
      const y = (31 - (value / top) * 29).toFixed(2);
      return `${at ? "L" : "M"}${x} ${y}`;
    })
    .join("");
}
