// What needs attention, worst first: runtimes that do not answer, failed workers, diagnostics.

import type { ComponentChildren } from "preact";

import type { Runtime } from "../../api/fleet";
import { Icon } from "../../parts/icon";
import { Name, shortId } from "../../parts/name";
import { Time } from "../../parts/time";
import { hashText, paths } from "../../router";
import { grouped } from "../../text/bytes";
import { neutral } from "../../text/guest";
import type { Figures } from "./figures";

export interface Need {
  key: string;
  tone: "bad" | "warn";
  title: ComponentChildren;
  detail: ComponentChildren;
  at: string | null;
  to: string;
}

const REASONS: Record<string, string> = {
  crash_loop: "Failed: the host went down in every attempt at one input.",
  quarantined: "Failed: its stored data is damaged.",
  uninstantiable: "Failed: its component cannot be instantiated.",
  host_call_stuck: "Failed: a file call of an ended turn has not returned.",
};

/** Needs that the page lists; the rest is counted. */
const LISTED = 8;

/** Collects what needs attention. */
export function attention(figures: Figures, runtimes: readonly Runtime[]): Need[] {
  const needs: Need[] = [];
  for (const one of runtimes) {
    if (one.status === "available") continue;
    const away = one.status === "unavailable";
    needs.push({
      key: `runtime ${one.runtime_id}`,
      tone: away ? "bad" : "warn",
      title: <Name text={one.display_name} />,
      detail: away ? "The runtime does not answer." : "The runtime is slow, or still restoring.",
      at: one.unavailable_since ?? null,
      to: paths.runtime(one.runtime_id),
    });
  }
  const listed = new Set<string>();
  for (const worker of figures.failed) {
    listed.add(worker.worker_id);
    const reason = worker.observed.state === "failed" ? worker.observed.reason : "";
    needs.push({
      key: `worker ${worker.worker_id}`,
      tone: "bad",
      title: <Name text={worker.display_ref ?? shortId(worker.worker_id)} />,
      detail: REASONS[reason] ?? `Failed: ${reason.replaceAll("_", " ")}.`,
      at: worker.updated_at,
      to: paths.worker(worker.runtime_id, worker.worker_id, "diagnostics"),
    });
  }
  for (const { code, severity, subject, message, at } of figures.diagnostics) {
    const known = runtimes.find((one) => one.runtime_id === subject);
    // Said above already, or only worth knowing.
    if (severity === "info" || (subject && listed.has(subject))) continue;
    if (known && known.status !== "available") continue;
    needs.push({
      key: `${code} ${subject} ${at} ${message}`,
      tone: severity === "error" ? "bad" : "warn",
      title: code.replaceAll("_", " "),
      detail: neutral(message),
      at,
      to: known
        ? paths.runtime(known.runtime_id)
        : `${paths.workers()}${hashText({ q: subject ?? null })}`,
    });
  }
  return needs.sort((a, b) => Number(b.tone === "bad") - Number(a.tone === "bad"));
}

/** Failed workers that are only counted. */
export function unlisted(figures: Figures): number {
  return Math.max(0, (figures.counts?.failed ?? 0) - figures.failed.length);
}

export function Attention({ needs, more }: { needs: readonly Need[]; more: number }) {
  return (
    <section class="card">
      <header>
        <h2 class="grow">Needs attention</h2>
        {needs.length > 0 && <span class="badge">{grouped(needs.length + more)}</span>}
      </header>
      {needs.length === 0 ? (
        <p class="inside muted row">
          <span class="state good">
            <Icon name="check" />
          </span>
          No runtime is away, no worker has failed, and nothing was reported.
        </p>
      ) : (
        <ul class="needs">
          {needs.slice(0, LISTED).map((need) => (
            <li key={need.key}>
              <a href={need.to}>
                <span class={`state ${need.tone}`}>
                  <Icon name={need.tone === "bad" ? "error" : "warn"} />
                </span>
                <span class="grow">
                  <span class="strong">{need.title}</span>
                  <span class="muted detail">{need.detail}</span>
                </span>
                {need.at && (
                  <span class="muted small">
                    <Time at={need.at} />
                  </span>
                )}
              </a>
            </li>
          ))}
          {needs.length > LISTED && (
            <li class="muted more">and {grouped(needs.length - LISTED)} more</li>
          )}
          {more > 0 && (
            <li>
              <a href={`${paths.workers()}${hashText({ state: "failed" })}`}>
                {grouped(more)} more failed {more === 1 ? "worker" : "workers"}
              </a>
            </li>
          )}
        </ul>
      )}
    </section>
  );
}
