// One worker: its heading with what it does now and what can be done, the rail with its figures,
// and the tabs.

import type { ComponentType } from "preact";
import { useEffect, useMemo, useState } from "preact/hooks";
import { useSignal } from "@preact/signals";

import { runtimeById, runtimeName } from "../api/fleet";
import { may } from "../api/session";
import { Button } from "../parts/button";
import { copy } from "../parts/empty";
import { useCommands } from "../parts/keys";
import { Skeleton } from "../parts/load";
import { Menu } from "../parts/menu";
import { Name } from "../parts/name";
import { Page, Tabs } from "../parts/page";
import { ProblemView } from "../parts/problem";
import { State, WorkerState } from "../parts/state";
import { Time } from "../parts/time";
import { TABS, type Tab, go, hash, paths } from "../router";
import type { PageProps } from "../shell/pages";
import { neutral } from "../text/guest";
import { fork, remove, rollback, start, stop } from "./worker/actions";
import { type LiveWorker, type Worker, nameOf, useWorker } from "./worker/live";
import { Rail } from "./worker/rail";
import { readAhead } from "./worker/read-ahead";
import { TranscriptTab } from "./worker/transcript";
import "../parts/body.css";
import "../parts/plain-table.css";
import "./worker/transcript.css";
import "./worker/worker.css";

const WORDS: Record<Tab, string> = {
  transcript: "Transcript",
  inputs: "Inputs",
  files: "Files",
  state: "State",
  settings: "Settings",
  diagnostics: "Diagnostics",
};

export default function WorkerPage({ route }: PageProps<"worker">) {
  // Another worker is another page: nothing of the one before stays.
  return <Shown key={`${route.runtime}/${route.worker}`} {...route} />;
}

function Shown({ runtime, worker: id, tab }: { runtime: string; worker: string; tab: Tab }) {
  const live = useWorker(runtime, id);
  useMemo(() => {
    const { seq, kind, turn } = hash.peek();
    if (tab === "transcript" && !seq && !kind && !turn) readAhead(live.ref);
  }, [live]);
  const worker = live.worker.value;
  const details = useSignal(false);
  const isGone = live.removed.value;
  useCommands([
    ...TABS.map((one) => ({
      does: `Show ${WORDS[one].toLowerCase()}`,
      group: "Worker",
      run: () => go(paths.worker(runtime, id, one)),
    })),
    ...(worker && !isGone
      ? [
          worker.desired === "running"
            ? { does: "Stop the worker", group: "Worker", run: () => void stop(live) }
            : { does: "Start the worker", group: "Worker", run: () => void start(live) },
        ]
      : []),
    { does: "Copy the worker's id", group: "Worker", run: () => void copy(id) },
  ]);

  const name = worker ? nameOf(worker) : id;
  if (!worker) {
    return (
      <Page title={<Name text={name} />} named={neutral(name)} trail={trail(runtime)}>
        {live.problem.value === undefined ? <Skeleton lines={6} /> : <Missing live={live} />}
      </Page>
    );
  }
  return (
    <Page
      fills
      title={<Name text={name} />}
      named={neutral(name)}
      trail={trail(runtime)}
      beside={<Facts worker={worker} removed={isGone} />}
      actions={
        <Actions
          live={live}
          worker={worker}
          details={details.value}
          onDetails={() => (details.value = !details.value)}
        />
      }
      tabs={
        <Tabs
          label="Worker"
          tabs={TABS.map((one) => ({
            words: (
              <>
                {WORDS[one]}
                {one === "inputs" && worker.queued_inputs > 0 && <Count value={worker.queued_inputs} />}
              </>
            ),
            to: paths.worker(runtime, id, one),
            current: one === tab,
          }))}
        />
      }
    >
      <Notices live={live} runtime={runtime} />
      <div class={`worker${details.value ? " details" : ""}`}>
        <div class="worker-main">
          <CurrentTab tab={tab} live={live} worker={worker} />
        </div>
        <Rail live={live} worker={worker} />
      </div>
    </Page>
  );
}

function trail(runtime: string) {
  return [
    { words: "Workers", to: paths.workers() },
    { words: <Name text={runtimeName(runtime)} />, to: paths.runtime(runtime) },
  ];
}

function Count({ value }: { value: number }) {
  return <span class="badge">{value}</span>;
}

interface TabProps {
  live: LiveWorker;
  worker: Worker;
}

/** The tabs beside the transcript, loaded when one is first shown. */
const LATER: Record<Exclude<Tab, "transcript">, () => Promise<ComponentType<TabProps>>> = {
  inputs: () => import("./worker/tabs").then((tabs) => tabs.InputsTab),
  files: () => import("./worker/tabs").then((tabs) => tabs.FilesTab),
  state: () => import("./worker/tabs").then((tabs) => tabs.StateTab),
  settings: () => import("./worker/tabs").then((tabs) => tabs.SettingsTab),
  diagnostics: () => import("./worker/tabs").then((tabs) => tabs.DiagnosticsTab),
};

const loaded = new Map<Tab, ComponentType<TabProps>>([["transcript", TranscriptTab]]);

function CurrentTab({ tab, ...props }: TabProps & { tab: Tab }) {
  const [failure, setFailure] = useState<unknown>(undefined);
  const [, arrived] = useState(0);
  const Shown = loaded.get(tab);
  useEffect(() => {
    if (Shown || tab === "transcript") return undefined;
    let left = false;
    setFailure(undefined);
    LATER[tab]().then(
      (component) => {
        loaded.set(tab, component);
        if (!left) arrived((count) => count + 1);
      },
      () => !left && setFailure(new Error("This part of the console could not be loaded.")),
    );
    return () => {
      left = true;
    };
  }, [tab, Shown]);
  if (Shown) return <Shown {...props} />;
  // A newer host has other files: the whole page is loaded again.
  if (failure !== undefined) return <ProblemView error={failure} retry={() => location.reload()} />;
  return (
    <div class="scrolls">
      <Skeleton lines={5} />
    </div>
  );
}

/** The worker's states, each as a word with a shape. */
function Facts({ worker, removed }: { worker: Worker; removed: boolean }) {
  if (removed) return <State word="Removed" tone="off" shape="cross" />;
  return (
    <span class="facts-line">
      <WorkerState observed={worker.observed} />
      <Execution worker={worker} />
      <span class="badge">{worker.kind}</span>
    </span>
  );
}

function Execution({ worker }: { worker: Worker }) {
  const isLive = worker.execution === "connected";
  const title = isLive
    ? "A live instance holds this worker's memory."
    : "No live instance: normal between turns. The next input connects one; looking never does.";
  return (
    <span title={title}>
      <State
        word={isLive ? "Connected" : "Unconnected"}
        tone={isLive ? "good" : "idle"}
        shape={isLive ? "dot" : "ring"}
      />
    </span>
  );
}

interface ActionsProps {
  live: LiveWorker;
  worker: Worker;
  details: boolean;
  onDetails: () => void;
}

function Actions({ live, worker, details, onDetails }: ActionsProps) {
  const gone = live.removed.value ? "The worker was removed." : null;
  const isRunning = worker.desired === "running" && worker.observed.state !== "failed";
  return (
    <span class="row">
      {isRunning ? (
        <Button icon="stop" needs="operator" disabled={gone} onClick={() => stop(live)}>
          Stop
        </Button>
      ) : (
        <Button first icon="play" needs="operator" disabled={gone} onClick={() => start(live)}>
          Start
        </Button>
      )}
      <Button
        icon="undo"
        needs="operator"
        class="wide-only"
        disabled={gone ?? (worker.previous ? null : "It was never updated: there is nothing to go back to.")}
        onClick={() => rollback(live)}
      >
        Roll back
      </Button>
      <Button
        icon="trash"
        label="Remove"
        needs="operator"
        danger
        disabled={gone}
        onClick={() => removeWorker(live)}
      />
      <Menu
        label="More"
        icon="more"
        items={[
          { words: "Copy the id", icon: "copy", run: () => void copy(worker.worker_id) },
          {
            words: "Copy the command that follows it",
            icon: "copy",
            run: () => void copy(`skep worker logs ${worker.worker_id} --follow`),
          },
          ...(!gone && may("operator")
            ? [{ words: "Fork", icon: "plus" as const, run: () => void fork(live) }]
            : []),
          ...(worker.previous && !gone && may("operator")
            ? [{ words: "Roll back", icon: "undo" as const, run: () => void rollback(live) }]
            : []),
        ]}
      />
      <Button
        icon="info"
        label="Details"
        class="narrow-only"
        pressed={details}
        expanded={details}
        onClick={onDetails}
      />
    </span>
  );
}

async function removeWorker(live: LiveWorker): Promise<void> {
  await remove(
    live,
    "It is stopped, and its transcript, files and state are deleted. This cannot be undone.",
  );
}

/** What a person must know before reading on. */
function Notices({ live, runtime }: { live: LiveWorker; runtime: string }) {
  const summary = runtimeById(runtime).value;
  const isAway = summary?.status === "unavailable";
  if (!live.removed.value && !isAway) return null;
  return (
    <div class="notices">
      {live.removed.value && (
        <div class="problem warn" role="status">
          <p class="grow">
            This worker was removed. What the page had loaded is still here; nothing more will come.
          </p>
          <a class="button" href={paths.workers()}>
            All workers
          </a>
        </div>
      )}
      {isAway && (
        <div class="problem warn" role="status">
          <p>
            The runtime is unavailable
            {summary.unavailable_since && (
              <>
                {" "}
                since <Time at={summary.unavailable_since} />
              </>
            )}
            . The page shows what was last known.
          </p>
        </div>
      )}
    </div>
  );
}

function Missing({ live }: { live: LiveWorker }) {
  if (live.removed.value) {
    return (
      <div class="problem warn" role="alert">
        <p class="grow">This worker was removed. Its id is never used again.</p>
        <a class="button" href={paths.workers()}>
          All workers
        </a>
      </div>
    );
  }
  return <ProblemView error={live.problem.value} retry={() => live.reload()} />;
}
