// The pages, each loaded when it is first needed, with its style sheet.

import { type ComponentType, Component, type ComponentChildren } from "preact";
import { useEffect, useState } from "preact/hooks";

import { Skeleton } from "../parts/load";
import { ProblemView } from "../parts/problem";
import { type Route, route } from "../router";

/** What a page gets: the route that led to it. */
export interface PageProps<P extends Route["page"] = Route["page"]> {
  route: Extract<Route, { page: P }>;
}

type Loader = () => Promise<{ default: ComponentType<never> }>;

/** Loaders by page. The name beside one is that of its file, whose style sheet the shell knows. */
const PAGES: Record<Route["page"], [file: string, load: Loader]> = {
  overview: ["overview", () => import("../pages/overview")],
  workers: ["workers", () => import("../pages/workers")],
  worker: ["worker", () => import("../pages/worker")],
  components: ["components", () => import("../pages/components")],
  component: ["component", () => import("../pages/component")],
  runtime: ["runtime", () => import("../pages/runtime")],
  ci: ["ci", () => import("../pages/ci")],
  audit: ["audit", () => import("../pages/audit")],
  access: ["access", () => import("../pages/access")],
  missing: ["missing", () => import("../pages/missing")],
};

const loaded = new Map<string, ComponentType<PageProps>>();

/** Adds the style sheet of a page's file, once, and waits until it applies. */
function style(file: string): Promise<void> {
  const content = document.querySelector<HTMLMetaElement>('meta[name="page-styles"]')?.content ?? "";
  const href = content
    .split(" ")
    .find((one) => one.startsWith(`${file}=`))
    ?.slice(file.length + 1);
  if (!href || document.querySelector(`link[href="${href}"]`)) return Promise.resolve();
  return new Promise((resolve) => {
    const link = document.createElement("link");
    link.rel = "stylesheet";
    link.href = href;
    // A page without its style is better than none.
    link.onload = link.onerror = () => resolve();
    document.head.append(link);
  });
}

/** The dialog that makes a worker of a file, loaded at the first file. Its sheet is a page's. */
export async function loadNewWorker() {
  const [module] = await Promise.all([import("../pages/new-worker"), style("new-worker")]);
  return module.default;
}

async function load(page: Route["page"]): Promise<ComponentType<PageProps>> {
  const [file, loader] = PAGES[page];
  const [module] = await Promise.all([loader(), style(file)]);
  const component = module.default as unknown as ComponentType<PageProps>;
  loaded.set(page, component);
  return component;
}

/** Begins to load a page before it is needed. */
export function preload(page: Route["page"]): void {
  if (!loaded.has(page)) load(page).catch(() => {});
}

/** The present page. */
export function CurrentPage() {
  const shown = route.value;
  const [failure, setFailure] = useState<{ page: string; error: unknown } | null>(null);
  const [, arrived] = useState(0);
  const component = loaded.get(shown.page);
  useEffect(() => {
    if (component) return undefined;
    let left = false;
    load(shown.page).then(
      () => !left && arrived((count) => count + 1),
      (error: unknown) => !left && setFailure({ page: shown.page, error }),
    );
    return () => {
      left = true;
    };
  }, [shown.page, component]);
  if (component) {
    const Shown = component;
    return (
      <Boundary key={shown.page}>
        <Shown route={shown} />
      </Boundary>
    );
  }
  if (failure?.page === shown.page) {
    // A newer host has other files: load the shell again.
    return (
      <div class="page">
        <ProblemView
          error={new Error("This part of the console could not be loaded.")}
          retry={() => location.reload()}
        />
      </div>
    );
  }
  return (
    <div class="page">
      <Skeleton lines={6} />
    </div>
  );
}

/** Keeps a page's mistake from taking the shell with it. */
class Boundary extends Component<{ children: ComponentChildren }, { error: unknown }> {
  override state: { error: unknown } = { error: undefined };

  override componentDidCatch(error: unknown): void {
    console.error(error);
    this.setState({ error });
  }

  override render() {
    if (this.state.error === undefined) return this.props.children;
    return (
      <div class="page">
        <ProblemView
          error={new Error("This page met a mistake of the console. The details are in the browser's log.")}
          retry={() => this.setState({ error: undefined })}
        />
      </div>
    );
  }
}
