// The columns of the table of workers. On a narrow screen the name and state remain.

import { type WorkerRow, runtimeName } from "../../api/fleet";
import { Name, shortId } from "../../parts/name";
import { State, WorkerState } from "../../parts/state";
import type { Column } from "../../parts/table";
import { Time } from "../../parts/time";
import { paths } from "../../router";
import { grouped } from "../../text/bytes";

/** Labels that a row shows. */
const LABELS = 3;

/** The columns; the runtime's only if there are several. */
export function columns(several: boolean): readonly Column<WorkerRow>[] {
  const all: (Column<WorkerRow> | false)[] = [
    {
      id: "name",
      title: "Name",
      width: "minmax(8rem, 2.4fr)",
      sort: "name",
      cell: (row) => (
        <a href={paths.worker(row.runtime_id, row.worker_id)} tabIndex={-1}>
          {row.display_ref ? (
            <span class="strong">
              <Name text={row.display_ref} />
            </span>
          ) : (
            <code>{shortId(row.worker_id)}</code>
          )}
        </a>
      ),
    },
    {
      id: "state",
      title: "State",
      width: "minmax(6.5rem, 1.5fr)",
      sort: "state",
      cell: (row) => <WorkerState observed={row.observed} />,
    },
    {
      id: "queued",
      title: "Queue",
      width: "4rem",
      from: 560,
      sort: "queued_inputs",
      end: true,
      cell: (row) =>
        row.queued_inputs > 0 ? grouped(row.queued_inputs) : <span class="muted">0</span>,
    },
    {
      id: "instance",
      title: "Instance",
      width: "6.5rem",
      from: 980,
      cell: (row) =>
        row.execution === "connected" ? (
          <State word="Live" tone="good" shape="dot" />
        ) : (
          <span class="muted">Unconnected</span>
        ),
    },
    { id: "kind", title: "Kind", width: "5.5rem", from: 720, cell: (row) => row.kind },
    several && {
      id: "runtime",
      title: "Runtime",
      width: "minmax(6rem, 0.9fr)",
      from: 800,
      cell: (row) => <Name text={runtimeName(row.runtime_id)} />,
    },
    {
      id: "labels",
      title: "Labels",
      width: "minmax(7rem, 1.6fr)",
      from: 1120,
      cell: (row) => <LabelList labels={row.labels ?? {}} />,
    },
    {
      id: "component",
      title: "Component",
      width: "7.5rem",
      from: 880,
      cell: (row) => (
        <a href={paths.component(row.runtime_id, row.component)} tabIndex={-1}>
          <code>{shortId(row.component)}</code>
        </a>
      ),
    },
    {
      id: "updated",
      title: "Changed",
      width: "minmax(6rem, 0.8fr)",
      from: 640,
      sort: "updated_at",
      end: true,
      cell: (row) => <Time at={row.updated_at} />,
    },
  ];
  return all.filter((one) => one !== false);
}

function LabelList({ labels }: { labels: Record<string, string> }) {
  const all = Object.entries(labels);
  return (
    <>
      {all.slice(0, LABELS).map(([key, value]) => (
        <span key={key} class="badge label">
          <Name text={value ? `${key}=${value}` : key} />
        </span>
      ))}
      {all.length > LABELS && <span class="muted small">+{all.length - LABELS}</span>}
    </>
  );
}
