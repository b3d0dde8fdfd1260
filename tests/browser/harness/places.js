// The pages of the console, and what tells that one is there.

/** Waits for a page's heading. */
const heading = (name) => (page) =>
  page.getByRole("heading", { level: 1, name }).waitFor();

/** Returns the address of a tab of a worker. */
export function workerPath({ runtime_id, worker_id }, tab = "transcript", fragment = "") {
  return `/w/${runtime_id}/${worker_id}/${tab}${fragment}`;
}

/** Goes to a page within the console, as a link does: nothing but that page is loaded. */
export async function visit(page, path) {
  await page.evaluate((path) => {
    history.pushState(null, "", path);
    dispatchEvent(new PopStateEvent("popstate"));
  }, path);
}

export const TABS = ["transcript", "inputs", "files", "state", "settings", "diagnostics"];

/** Every page, with a worker and its runtime and component. */
export function pages(worker) {
  const { runtime_id, component, display_ref } = worker;
  return [
    { name: "overview", path: "/", ready: heading("Overview") },
    { name: "workers", path: "/workers", ready: heading("Workers") },
    ...TABS.map((tab) => ({
      name: `worker-${tab}`,
      path: workerPath(worker, tab),
      ready: async (page) => {
        await page.getByRole("heading", { level: 1, name: display_ref }).waitFor();
        await page.getByRole("navigation", { name: "Worker" })
          .locator(`[aria-current="page"]`, { hasText: new RegExp(tab, "i") })
          .waitFor();
      },
    })),
    { name: "components", path: "/components", ready: heading("Components") },
    { name: "component", path: `/components/${runtime_id}/${component}`, ready: heading(/./) },
    { name: "runtime", path: `/runtimes/${runtime_id}`, ready: heading(/./) },
    { name: "audit", path: "/audit", ready: heading("Audit") },
    { name: "access", path: "/access", ready: heading("Access") },
    { name: "pipelines", path: "/ci", ready: heading("Pipelines") },
  ];
}

/** Waits until nothing of a page is a placeholder. */
export function settled(page) {
  return page.waitForFunction(() => !document.querySelector(".skeleton, [aria-busy=true]"));
}
