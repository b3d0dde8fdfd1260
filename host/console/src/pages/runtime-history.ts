// The history of a runtime as series to draw: gauges as they are, the counter of turns as a rate.

/** One sample of `GET /api/runtimes/{runtime_id}/usage/history`. */
export interface Sample {
  at: string;
  workers: number;
  connected: number;
  memory_bytes: number;
  /** Turns since the runtime opened. */
  turns: number;
  queued_inputs: number;
}

export type Series = readonly number[];

export interface RuntimeSeries {
  workers: Series;
  connected: Series;
  memory: Series;
  queued: Series;
  /** Turns per second, between one sample and the next. */
  turns: Series;
}

export function seriesOf(samples: readonly Sample[]): RuntimeSeries {
  return {
    workers: samples.map((one) => one.workers),
    connected: samples.map((one) => one.connected),
    memory: samples.map((one) => one.memory_bytes),
    queued: samples.map((one) => one.queued_inputs),
    turns: rates(samples.map((one) => [Date.parse(one.at), one.turns])),
  };
}

/** Turns a counter into a rate per second. A counter that fell was restarted: it counts from 0. */
export function rates(points: readonly (readonly [ms: number, count: number])[]): Series {
  return points.slice(1).map(([ms, count], place) => {
    const [beforeMs, before] = points[place] ?? [ms, count];
    const seconds = (ms - beforeMs) / 1000;
    const grown = count >= before ? count - before : count;
    return seconds > 0 ? grown / seconds : 0;
  });
}
