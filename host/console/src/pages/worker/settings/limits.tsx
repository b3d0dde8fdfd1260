// The limits of a worker: the host's defaults and what is changed for this one, as gauges where the
// use is known.

import { useEffect, useRef } from "preact/hooks";
import { useSignal } from "@preact/signals";

import { type Schemas, request, workerPath } from "../../../api/client";
import { Problem, sentence } from "../../../api/problem";
import { may } from "../../../api/session";
import { Button } from "../../../parts/button";
import { Gauge } from "../../../parts/figures";
import { Skeleton, useLoad } from "../../../parts/load";
import { ProblemView } from "../../../parts/problem";
import { limitValue, parseLimit } from "../../../text/bytes";
import { type Limit, limitOf, limitsProblem, useLimits } from "../limits";
import type { LiveWorker, Worker } from "../live";
import { Setting } from "../settings";
import { patchWithUndo } from "./change";

/** The figures of use that have a limit. */
const USED: Partial<Record<string, keyof Schemas["Usage"]>> = {
  memory_bytes: "memory_peak_bytes",
  disk_bytes: "disk_bytes",
  disk_entries: "disk_entries",
  state_bytes: "state_bytes",
  transcript_bytes: "transcript_bytes",
};

type Changes = Record<string, number>;

export function LimitsSetting({ live, worker }: { live: LiveWorker; worker: Worker }) {
  const limits = useLimits();
  const edited = useSignal<string | null>(null);
  const usage = useLoad(
    (signal) => request<Schemas["Usage"]>("get", `${workerPath(live.ref)}/usage`, { signal }),
    [live, worker.updated_at],
  );
  const own = worker.limits as Changes;
  return (
    <Setting
      title="Limits"
      about="Numbers that the worker cannot pass. A change applies from its next connect on."
    >
      {!limits &&
        (limitsProblem.value === undefined ? (
          <Skeleton lines={4} />
        ) : (
          <ProblemView error={limitsProblem.value} />
        ))}
      <ul class="limits">
        {limits
          ?.filter((limit) => limit.per_worker)
          .map((limit) => (
            <li key={limit.name} class={limit.name in own ? "changed" : ""}>
              <Figure limit={limit} worker={worker} limits={limits} usage={usage.value} />
              <p class="muted small">{limit.why}</p>
              {edited.value === limit.name ? (
                <Edit live={live} worker={worker} limit={limit} onClose={() => (edited.value = null)} />
              ) : (
                <div class="row">
                  {limit.name in own && (
                    <span class="badge warn">changed, default {limitValue(limit.default, limit.unit)}</span>
                  )}
                  <span class="grow" />
                  <Button quiet needs="operator" onClick={() => void (edited.value = limit.name)}>
                    Change<span class="unseen"> {limit.name}</span>
                  </Button>
                </div>
              )}
            </li>
          ))}
      </ul>
    </Setting>
  );
}

interface FigureProps {
  limit: Limit;
  worker: Worker;
  limits: readonly Limit[];
  usage: Schemas["Usage"] | undefined;
}

function Figure({ limit, worker, limits, usage }: FigureProps) {
  const most = limitOf(limits, worker, limit.name);
  const used = limit.name === "mailbox_inputs" ? worker.queued_inputs : usage?.[USED[limit.name] ?? "turns"];
  const isMeasured = limit.name === "mailbox_inputs" || limit.name in USED;
  if (isMeasured && used !== undefined) {
    return (
      <Gauge label={limit.name} value={used} most={most} text={(value) => limitValue(value, limit.unit)} />
    );
  }
  return (
    <div class="row">
      <span class="grow">{limit.name}</span>
      <span class="number">{limitValue(most, limit.unit)}</span>
    </div>
  );
}

function Edit({
  live,
  worker,
  limit,
  onClose,
}: {
  live: LiveWorker;
  worker: Worker;
  limit: Limit;
  onClose: () => void;
}) {
  const own = worker.limits as Changes;
  const text = useSignal(limit.name in own ? limitValue(own[limit.name] ?? null, limit.unit) : "");
  const problem = useSignal<string | null>(null);
  const field = useRef<HTMLInputElement>(null);
  useEffect(() => {
    field.current?.focus();
    field.current?.select();
  }, []);
  const value = parseLimit(text.value, limit.unit);
  const units = { bytes: "such as 64 MiB", milliseconds: "such as 30 s", count: "a number" }[limit.unit];
  const save = async (to: number | null) => {
    problem.value = null;
    const next: Changes = { ...own };
    if (to === null) delete next[limit.name];
    else next[limit.name] = to;
    try {
      await patchWithUndo(
        live,
        { limits: next, limits_before: own },
        { limits: own, limits_before: next },
        `The limit ${limit.name} was changed.`,
      );
      onClose();
    } catch (error) {
      const conflict = error instanceof Problem && error.status === 409;
      problem.value = conflict
        ? "The limits were changed meanwhile. Try again on what is shown now."
        : sentence(error);
      if (conflict) live.reload();
    }
  };
  const past =
    value !== undefined && limit.ceiling !== null && value > limit.ceiling
      ? `Your role may set at most ${limitValue(limit.ceiling, limit.unit)}.`
      : null;
  return (
    <form
      class="stack"
      onSubmit={(event) => {
        event.preventDefault();
        if (value !== undefined && !past) void save(value);
      }}
    >
      <label class="row">
        <span class="unseen">New value of {limit.name}</span>
        <input
          class="mono grow"
          placeholder={units}
          readOnly={!may("operator")}
          aria-invalid={text.value !== "" && value === undefined}
          value={text.value}
          onInput={(event) => (text.value = event.currentTarget.value)}
          ref={field}
        />
      </label>
      {(past ?? problem.value) && (
        <p class="error small" role="alert">
          {past ?? problem.value}
        </p>
      )}
      <div class="row wrap">
        <Button
          type="submit"
          needs="operator"
          disabled={value === undefined ? `Type a value, ${units}.` : past}
        >
          Set
        </Button>
        {limit.name in own && (
          <Button needs="operator" onClick={() => save(null)}>
            Back to {limitValue(limit.default, limit.unit)}
          </Button>
        )}
        <Button quiet onClick={onClose}>
          Cancel
        </Button>
      </div>
    </form>
  );
}
