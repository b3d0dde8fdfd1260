// Name and labels of a worker: for people, never authority.

import { useEffect } from "preact/hooks";
import { useSignal } from "@preact/signals";

import { sentence } from "../../../api/problem";
import { may } from "../../../api/session";
import { Button } from "../../../parts/button";
import { Field } from "../../../parts/field";
import type { LiveWorker, Worker } from "../live";
import { Setting } from "../settings";
import { patchWithUndo } from "./change";

const written = (labels: Record<string, string>) =>
  Object.entries(labels)
    .map(([key, value]) => `${key}=${value}`)
    .join("\n");

/** Reads one label per line; a text that tells the fault otherwise. */
export function readLabels(text: string): Record<string, string> | string {
  const labels: Record<string, string> = {};
  for (const line of text.split("\n").filter((one) => one.trim() !== "")) {
    const at = line.indexOf("=");
    if (at < 1) return `A label is key=value; "${line.slice(0, 40)}" is none.`;
    labels[line.slice(0, at).trim()] = line.slice(at + 1);
  }
  return labels;
}

export function NameSetting({ live, worker }: { live: LiveWorker; worker: Worker }) {
  const name = useSignal(worker.display_ref ?? "");
  const labels = useSignal(written(worker.labels));
  const problem = useSignal<string | null>(null);
  // A change that another person made shows where nothing is being typed.
  useEffect(() => {
    name.value = worker.display_ref ?? "";
  }, [worker.display_ref]);
  useEffect(() => {
    labels.value = written(worker.labels);
  }, [written(worker.labels)]);
  const read = readLabels(labels.value);
  const isNamed = name.value !== (worker.display_ref ?? "");
  const isLabelled = labels.value !== written(worker.labels);
  const why =
    typeof read === "string"
      ? read
      : !isNamed && !isLabelled
        ? "Nothing was changed."
        : name.value === "" && isNamed
          ? "A name cannot be taken away."
          : null;
  const save = async () => {
    if (typeof read === "string") return;
    problem.value = null;
    const json = { ...(isNamed ? { display_ref: name.value } : {}), ...(isLabelled ? { labels: read } : {}) };
    const back = {
      ...(isNamed && worker.display_ref ? { display_ref: worker.display_ref } : {}),
      ...(isLabelled ? { labels: worker.labels } : {}),
    };
    try {
      await patchWithUndo(live, json, back, "Name and labels were changed.");
    } catch (error) {
      problem.value = sentence(error);
    }
  };
  return (
    <Setting title="Name and labels" about="For people and filters. Nothing else depends on them.">
      <Field label="Name">
        {(ids) => (
          <input
            {...ids}
            maxLength={128}
            readOnly={!may("operator")}
            value={name.value}
            onInput={(event) => (name.value = event.currentTarget.value)}
          />
        )}
      </Field>
      <Field label="Labels" help="One on each line: key=value" error={typeof read === "string" ? read : null}>
        {(ids) => (
          <textarea
            {...ids}
            class="mono"
            rows={3}
            readOnly={!may("operator")}
            spellcheck={false}
            value={labels.value}
            onInput={(event) => (labels.value = event.currentTarget.value)}
          />
        )}
      </Field>
      {problem.value && (
        <p class="error" role="alert">
          {problem.value}
        </p>
      )}
      <div>
        <Button needs="operator" disabled={why} onClick={save}>
          Save
        </Button>
      </div>
    </Setting>
  );
}
