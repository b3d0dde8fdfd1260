// The command palette: every command of the present page, every page, and workers by name.

import { useEffect, useId, useLayoutEffect, useRef } from "preact/hooks";
import { signal, useComputed, useSignal } from "@preact/signals";

import { type Schemas, request } from "../api/client";
import { runtimeName } from "../api/fleet";
import { isAbort } from "../api/problem";
import { go, paths } from "../router";
import { neutral } from "../text/guest";
import { giveBack } from "./dialog";
import { Icon } from "./icon";
import { commands, keysText } from "./keys";

/** Time between typing and asking the host, in milliseconds. */
const TYPING_MS = 120;

/** Workers and commands to show at most. */
const MOST = { workers: 8, commands: 40 };

const shown = signal(false);

export function openPalette(): void {
  shown.value = true;
}

interface Choice {
  id: string;
  words: string;
  beside: string;
  run: () => void;
}

/** The place of the palette; the shell has one. */
export function Palette() {
  return shown.value ? <Open /> : null;
}

/** Ranks a text against what was typed; null if it does not match. Every typed word must occur. */
export function rank(text: string, typed: string): number | null {
  const lower = text.toLowerCase();
  let score = 0;
  for (const word of typed.toLowerCase().split(/\s+/).filter(Boolean)) {
    const at = lower.indexOf(word);
    if (at < 0) return null;
    // The start of the text ranks before the start of a word, and that before the middle of one.
    score += at === 0 ? 0 : /\W/.test(lower[at - 1] ?? "") ? 1 : 2;
  }
  return score;
}

function Open() {
  const id = useId();
  const dialog = useRef<HTMLDialogElement>(null);
  const typed = useSignal("");
  const at = useSignal(0);
  const workers = useSignal<readonly Choice[]>([]);
  const close = () => (shown.value = false);

  // Before the next key arrives: what is typed right after Ctrl-K is part of the text.
  useLayoutEffect(() => {
    const before = document.activeElement;
    dialog.current?.showModal();
    return () => {
      dialog.current?.close();
      giveBack(before);
    };
  }, []);

  useEffect(() => {
    const q = typed.value.trim();
    if (!q) {
      workers.value = [];
      return undefined;
    }
    const left = new AbortController();
    const timer = setTimeout(() => {
      find(q, left.signal).then(
        (found) => (workers.value = found),
        (error: unknown) => {
          if (!isAbort(error)) workers.value = [];
        },
      );
    }, TYPING_MS);
    return () => {
      clearTimeout(timer);
      left.abort();
    };
  }, [typed.value]);

  const choices = useComputed<Choice[]>(() => {
    const matching = commands.value
      .filter((one) => one.listed !== false)
      .map((one) => ({ one, score: rank(`${one.does} ${one.group}`, typed.value) }))
      .filter((found): found is typeof found & { score: number } => found.score !== null)
      .sort((a, b) => a.score - b.score)
      .slice(0, MOST.commands)
      .map(({ one }, index) => ({
        id: `command-${index}`,
        words: one.does,
        beside: one.keys ? keysText(one.keys) : one.group,
        run: one.run,
      }));
    return [...matching, ...workers.value];
  });

  const run = (choice: Choice | undefined) => {
    if (!choice) return;
    close();
    // After the dialog gave the focus back.
    queueMicrotask(choice.run);
  };
  const onKeyDown = (event: KeyboardEvent) => {
    const count = choices.value.length;
    if (event.key === "ArrowDown") at.value = (at.value + 1) % Math.max(1, count);
    else if (event.key === "ArrowUp") at.value = (at.value - 1 + count) % Math.max(1, count);
    else if (event.key === "Enter") run(choices.value[at.value]);
    else return;
    event.preventDefault();
    document.getElementById(`${id}-${at.value}`)?.scrollIntoView({ block: "nearest" });
  };

  return (
    <dialog
      ref={dialog}
      class="palette"
      aria-label="Command palette"
      onCancel={(event) => {
        event.preventDefault();
        close();
      }}
      onClick={(event) => event.target === dialog.current && close()}
    >
      <div class="ask">
        <Icon name="search" />
        <input
          autofocus
          role="combobox"
          aria-expanded="true"
          aria-controls={id}
          aria-activedescendant={choices.value.length ? `${id}-${at.value}` : undefined}
          aria-label="Search for a command, page or worker"
          placeholder="Search for a command, page or worker"
          autocomplete="off"
          spellcheck={false}
          value={typed.value}
          onInput={(event) => {
            typed.value = event.currentTarget.value;
            at.value = 0;
          }}
          onKeyDown={onKeyDown}
        />
      </div>
      <div id={id} class="choices" role="listbox" aria-label="Found">
        {choices.value.map((choice, index) => (
          <div
            key={choice.id}
            id={`${id}-${index}`}
            class="choice"
            role="option"
            aria-selected={index === at.value}
            onPointerMove={() => (at.value = index)}
            onClick={() => run(choice)}
          >
            <bdi class="grow clip">{choice.words}</bdi>
            <span class="muted small">{choice.beside}</span>
          </div>
        ))}
        {choices.value.length === 0 && <p class="muted none">Nothing matches.</p>}
      </div>
    </dialog>
  );
}

async function find(q: string, signal: AbortSignal): Promise<Choice[]> {
  const query = { q, limit: MOST.workers };
  const { items } = await request<{ items: Schemas["WorkerEntry"][] }>("get", "/api/workers", {
    query,
    signal,
  });
  return items.map((worker) => ({
    id: `${worker.runtime_id}/${worker.worker_id}`,
    words: neutral(worker.display_ref ?? worker.worker_id),
    beside: `${worker.kind} on ${runtimeName(worker.runtime_id)}`,
    run: () => go(paths.worker(worker.runtime_id, worker.worker_id)),
  }));
}
