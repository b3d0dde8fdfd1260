// Dialogs on the browser's own <dialog>, which keeps the focus inside and gives it back.

import type { ComponentChildren } from "preact";
import { useId, useLayoutEffect, useRef, useState } from "preact/hooks";
import { signal } from "@preact/signals";

import { Button } from "./button";

export interface DialogProps {
  title: string;
  /** Called when it was closed by Escape, its button or `close()`. */
  onClose: () => void;
  children: ComponentChildren;
  footer?: ComponentChildren;
  wide?: boolean;
  /** False for a dialog that the person cannot leave undone. */
  closable?: boolean;
  /** Called when the form in it is sent, by Enter or a button of type submit. */
  onSubmit?: () => void;
}

/** Gives the focus back to what had it before a dialog, or to the page if that is gone. */
export function giveBack(before: Element | null): void {
  const had = before instanceof HTMLElement && before !== document.body && before.isConnected;
  const to = had ? before : document.getElementById("main");
  to?.focus({ preventScroll: true });
}

/** A dialog that is open as long as it is rendered. */
export function Dialog(props: DialogProps) {
  const { title, onClose, wide, closable = true } = props;
  const id = useId();
  const dialog = useRef<HTMLDialogElement>(null);
  // Before the next key arrives, so that it goes to the dialog.
  useLayoutEffect(() => {
    const shown = dialog.current;
    const before = document.activeElement;
    shown?.showModal();
    // Without a field to type in, the keyboard starts at the title, not at the button that closes.
    if (document.activeElement?.closest("header")) shown?.querySelector("h2")?.focus();
    return () => {
      shown?.close();
      giveBack(before);
    };
  }, []);
  const inside = (
    <>
      <header>
        <h2 id={id} tabIndex={-1}>{title}</h2>
        {closable && <Button quiet icon="close" label="Close" keys="Esc" onClick={onClose} />}
      </header>
      <div class="inside">{props.children}</div>
      {props.footer ? <footer>{props.footer}</footer> : <div class="inside" />}
    </>
  );
  return (
    <dialog
      ref={dialog}
      class={wide ? "wide" : undefined}
      aria-labelledby={id}
      onCancel={(event) => {
        event.preventDefault();
        if (closable) onClose();
      }}
    >
      {props.onSubmit ? (
        <form
          class="dialog-form"
          method="dialog"
          onSubmit={(event) => {
            event.preventDefault();
            props.onSubmit?.();
          }}
        >
          {inside}
        </form>
      ) : (
        inside
      )}
    </dialog>
  );
}

export interface Question {
  title: string;
  body: ComponentChildren;
  /** Words of the button that does it. */
  action: string;
  danger?: boolean;
  /** What must be typed first, such as a name or a count. */
  typed?: string;
}

interface Asked extends Question {
  answer: (yes: boolean) => void;
}

const asked = signal<Asked | null>(null);

/** Asks before something that cannot be undone. Resolves to false if the person declines. */
export function confirm(question: Question): Promise<boolean> {
  asked.peek()?.answer(false);
  return new Promise((resolve) => {
    asked.value = {
      ...question,
      answer: (yes) => {
        asked.value = null;
        resolve(yes);
      },
    };
  });
}

/** The place where `confirm` asks; the shell has one. */
export function Questions() {
  const question = asked.value;
  return question && <Ask key={question.title} {...question} />;
}

function Ask({ title, body, action, danger, typed, answer }: Asked) {
  const [text, setText] = useState("");
  const id = useId();
  const missing = typed !== undefined && text.trim() !== typed;
  const submit = () => {
    if (!missing) answer(true);
  };
  return (
    <Dialog
      title={title}
      onClose={() => answer(false)}
      onSubmit={submit}
      footer={
        <>
          <Button onClick={() => answer(false)} autofocus={typed === undefined && danger}>
            Cancel
          </Button>
          <Button
            type="submit"
            first
            danger={danger}
            disabled={missing && `Type ${typed} first.`}
            autofocus={typed === undefined && !danger}
          >
            {action}
          </Button>
        </>
      }
    >
      <div>{body}</div>
      {typed !== undefined && (
        <div class="field">
          <label class="label" for={id}>
            Type <code>{typed}</code> to go on
          </label>
          <input
            id={id}
            class="mono"
            value={text}
            autofocus
            autocomplete="off"
            spellcheck={false}
            onInput={(event) => setText(event.currentTarget.value)}
          />
        </div>
      )}
    </Dialog>
  );
}
