// The frame of a page: its heading with actions, the trail that leads to it, and tabs.

import type { ComponentChildren } from "preact";
import { signal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";

/** The page that was opened last, for screen readers. */
export const opened = signal("");

export interface PageProps {
  /** The heading; also the window's title if it is text. */
  title: ComponentChildren;
  /** The window's title, where the heading is more than text. */
  named?: string;
  /** Links to what this is a part of. */
  trail?: readonly { words: ComponentChildren; to: string }[];
  /** Facts beside the heading. */
  beside?: ComponentChildren;
  actions?: ComponentChildren;
  tabs?: ComponentChildren;
  children: ComponentChildren;
  /** True if the page fills the window and scrolls inside, as tables do. */
  fills?: boolean;
}

export function Page(props: PageProps) {
  const named = props.named ?? (typeof props.title === "string" ? props.title : "Skep");
  useEffect(() => {
    document.title = `${named} · Skep`;
  }, [named]);
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => {
    opened.value = named;
    // The page before took the focus with it: the keyboard goes on from this one's heading.
    const held = document.activeElement;
    const lost = !held || held === document.body || held.id === "main";
    if (lost && !document.querySelector("dialog[open]")) heading.current?.focus({ preventScroll: true });
  }, []);
  return (
    <div class={props.fills ? "page fills" : "page"}>
      <header class="page-head">
        {props.trail && (
          <nav class="trail" aria-label="Trail">
            {props.trail.map(({ words, to }) => (
              <a key={to} href={to}>
                {words}
              </a>
            ))}
          </nav>
        )}
        <div class="row wrap">
          <h1 ref={heading} tabIndex={-1} class="clip">
            {props.title}
          </h1>
          {props.beside && <span class="beside">{props.beside}</span>}
          <span class="grow" />
          {props.actions}
        </div>
        {props.tabs}
      </header>
      <div class="page-body">{props.children}</div>
    </div>
  );
}

export interface TabsProps {
  label: string;
  tabs: readonly { words: ComponentChildren; to: string; current: boolean }[];
}

export function Tabs({ label, tabs }: TabsProps) {
  return (
    <nav class="tabs" aria-label={label}>
      {tabs.map(({ words, to, current }) => (
        <a key={to} href={to} aria-current={current ? "page" : undefined}>
          {words}
        </a>
      ))}
    </nav>
  );
}
