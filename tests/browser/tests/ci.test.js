// Runs of pipelines: the list, a run, a step with its log and outputs, while it runs and after.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before } from "node:test";

import { accessible, contrasts } from "../harness/axe.js";
import { consoleTest } from "../harness/console.js";
import { injected, STRINGS, unescaped } from "../harness/hostile.js";
import { Host } from "../harness/host.js";
import { kept } from "../harness/paths.js";
import { Pipeline } from "../harness/pipeline.js";
import { settled } from "../harness/places.js";

const MARKUP = "<img src=x onerror=alert(1)><b id=injected>";

const REPORT = `<testsuite><testcase classname="c" name="good"/><testcase classname="c"
 name="&lt;b id=injected&gt;bad"><failure message="one &lt;script&gt; is not two"/></testcase></testsuite>`;

const STEPS = `
[step.say]
tool = "probe"
stdin = "hostile.txt"
args = ["cat"]
[step.make]
tool = "probe"
src = ["a.txt"]
args = ["append", "/out/x <b id=injected>.txt", "twelve jars\\u0000of honey"]
out = ["*"]
[step.each]
tool = "probe"
matrix = { v = ["1", "${MARKUP}"] }
in = { "/in" = "make" }
args = ["args", "{matrix.v}"]
[step.test]
tool = "probe"
needs = ["make"]
args = ["append", "/out/junit.xml", '''${REPORT}''']
out = ["junit.xml"]
junit = "junit.xml"
[step.late]
tool = "probe"
args = ["spin"]
timeout = "100ms"
allow_fail = true
[step.after]
tool = "probe"
needs = ["test"]
args = ["args"]
`;

/** A step that prints a line each half second, and one that waits for it. */
const SLOW = `
[step.slow]
tool = "probe"
args = ["nap", "0.5"]
clock = "real"
expect = { exit = [9] }
retry = { max = 10, on = ["exited"] }
allow_fail = true
[step.next]
tool = "probe"
needs = ["slow"]
if = "always"
args = ["args"]
`;

const ENDLESS = `
[step.spins]
tool = "probe"
args = ["spin"]
timeout = "10m"
`;

const LONG = "x".repeat(10_000);

let host;
let first;
let last;
before(async () => {
  host = await Host.start();
  const lines = Object.values(STRINGS).map((text) => text.replaceAll("\n", " "));
  const pipeline = new Pipeline(host, "project", STEPS, {
    "hostile.txt": Buffer.concat([Buffer.from([...lines, LONG].join("\n")), Buffer.from([10, 0xff, 0xfe, 10])]),
    "a.txt": "a",
  });
  first = await pipeline.run();
  pipeline.write("a.txt", "changed");
  last = await pipeline.run();
});
after(() => host?.remove());

const runPath = (run) => `/ci/${run.run_id}`;
const stepPath = (run, id) => `${runPath(run)}/${encodeURIComponent(id)}`;
const heading = (page, name) => page.getByRole("heading", { level: 1, name, exact: true }).waitFor();
const photograph = (page, name) => page.screenshot({ path: join(kept("."), `${name}.png`), fullPage: true });

/** Every page about runs, and what tells that it is there. */
function places() {
  return [
    { name: "ci-runs", path: "/ci", ready: (page) => heading(page, "Pipelines") },
    { name: "ci-run", path: runPath(last), ready: (page) => heading(page, last.run_id) },
    { name: "ci-log", path: stepPath(last, "say"), ready: (page) => page.locator(".ci-log .line").first().waitFor() },
    { name: "ci-output", path: stepPath(last, "make"), ready: (page) => page.getByRole("link", { name: /^Download/ }).waitFor() },
    { name: "ci-tests", path: stepPath(last, "test"), ready: (page) => page.getByRole("heading", { name: "Tests" }).waitFor() },
    { name: "ci-matrix", path: stepPath(last, `each[v=${MARKUP}]`), ready: (page) => page.getByText("Matrix").waitFor() },
  ];
}

consoleTest("the navigation leads to the runs, a run to its steps, a step back", () => host, { role: "viewer" }, async (profile) => {
  const page = await profile.page("/");
  await heading(page, "Overview");
  await page.keyboard.press("g");
  await page.keyboard.press("p");
  await heading(page, "Pipelines");
  const row = page.getByRole("row", { name: last.run_id });
  assert.match(await row.innerText(), /Failed/);
  await row.getByRole("link").focus();
  await page.keyboard.press("Enter");
  await heading(page, last.run_id);
  const cells = async (id) => {
    const found = page.locator(".ci-steps tr").filter({ has: page.getByRole("link", { name: id, exact: true }) });
    return (await found.innerText()).replace(/\s+/g, " ");
  };
  assert.match(await cells("say"), /Cached/);
  assert.match(await cells("make"), /Passed nothing .* 1 file/);
  assert.match(await cells("test"), /Failed make .*1 passed, 1 failed/);
  assert.match(await cells("late"), /Past its deadline, allowed/);
  assert.match(await cells("after"), /Skipped test/);
  const failed = page.getByRole("region", { name: "What failed" });
  assert.match(await failed.innerText(), /test: a test failed[\s\S]*c\.?.*<b id=injected>bad[\s\S]*one <script> is not two/);
  await page.getByRole("button", { name: "Failed", exact: true }).click();
  assert.equal(await page.locator(".ci-steps tbody tr:not(.level)").count(), 1);
  await failed.getByRole("link", { name: "test" }).click();
  await heading(page, "test");
  await page.getByRole("link", { name: last.run_id }).first().click();
  await heading(page, last.run_id);
  await page.getByRole("link", { name: "Pipelines" }).first().click();
  await heading(page, "Pipelines");
});

consoleTest("a step tells why it ran, and from which run it came", () => host, {}, async (profile) => {
  const page = await profile.page(stepPath(last, "make"));
  const why = page.getByRole("region", { name: "Why" });
  await why.getByText("/a.txt changed").waitFor();
  assert.match(await why.innerText(), new RegExp(`Since run ${first.run_id}`));
  const numbers = page.getByRole("region", { name: "Numbers" });
  const make = last.steps.find((step) => step.id === "make");
  assert.match(await numbers.innerText(), new RegExp(make.action));
  await page.goto(stepPath(last, "say"));
  await page.getByText("Why it came from the cache").waitFor();
  await page.getByRole("link", { name: first.run_id }).first().click();
  await page.getByText("Why it ran").waitFor();
  assert.equal(new URL(page.url()).pathname, `/ci/${first.run_id}/say`);
});

consoleTest("an output is downloaded with its bytes, under a name that is only text", () => host, { role: "viewer" }, async (profile) => {
  const page = await profile.page(stepPath(last, "make"));
  const link = page.getByRole("link", { name: /^Download/ });
  await link.waitFor();
  const [download] = await Promise.all([page.waitForEvent("download"), link.click()]);
  const { files } = last.steps.find((step) => step.id === "make").out;
  const bytes = readFileSync(await download.path());
  assert.equal(bytes.length, files[0].bytes);
  assert.equal(bytes.toString(), "twelve jars\0of honey");
});

consoleTest("lines of a guest stay text, in the log of a run and from the cache", () => host, {}, async (profile) => {
  for (const run of [first, last]) {
    const page = await profile.page(stepPath(run, "say"));
    await page.locator(".ci-log .line").first().waitFor();
    await settled(page);
    const log = page.locator(".ci-log");
    assert.equal(await log.locator(".line").count(), Object.keys(STRINGS).length + 2);
    const text = await log.innerText();
    assert.ok(text.includes(STRINGS.markup), text);
    assert.ok(text.includes("\ufffd"), "bytes that are no text");
    assert.equal(await log.locator(".sgr-1").first().innerText(), "red");
    assert.deepEqual(await injected(page), []);
    assert.deepEqual(await unescaped(page), []);
    const more = log.getByRole("button", { name: /more$/ });
    await more.click();
    await page.waitForFunction((long) => document.querySelector(".ci-log").textContent.includes(long), LONG);
  }
  for (const { path, ready } of places()) {
    const page = await profile.page(path);
    await ready(page);
    await settled(page);
    assert.deepEqual(await injected(page), [], path);
    assert.deepEqual(await unescaped(page), [], path);
  }
});

consoleTest("a run is followed while it runs, line by line, to its end", () => host, {}, async (profile) => {
  const pipeline = new Pipeline(host, "slow", SLOW);
  const page = await profile.page("/ci");
  await heading(page, "Pipelines");
  const { ended } = pipeline.start();
  const list = page.getByRole("table");
  while (!(await list.getByText("Running", { exact: true }).isVisible())) {
    await page.getByRole("button", { name: "Look again" }).click();
    await page.waitForTimeout(50);
  }
  await list.getByRole("row").nth(1).getByRole("link").click();
  const steps = page.locator(".ci-steps");
  await steps.getByText("Running", { exact: true }).waitFor();
  await steps.getByText("Waiting", { exact: true }).waitFor();
  await steps.getByRole("link", { name: "slow" }).click();
  await page.getByText("following", { exact: true }).waitFor();
  const lines = page.locator(".ci-log .line");
  await lines.nth(1).waitFor();
  assert.ok(await page.locator(".beside").getByText("Running").isVisible(), "the lines came while it ran");
  await lines.nth(4).waitFor();
  await page.getByText("Attempt 3").waitFor();
  const result = await ended;
  await page.locator(".beside").getByText("Exited 0, allowed").waitFor();
  assert.equal(await lines.count(), result.steps[0].attempts);
  assert.ok(await page.getByRole("region", { name: "Numbers" }).isVisible());
  await page.goto(runPath(result));
  await page.locator(".beside").getByText("Passed").waitFor();
  const before = profile.watch.requests.length;
  await page.waitForTimeout(2_000);
  const asked = profile.watch.requests.slice(before).filter((line) => line.includes("/api/ci/"));
  assert.deepEqual(asked, [], "what has ended is not asked for again");
});

consoleTest("a killed run is shown as interrupted", () => host, {}, async (profile) => {
  const pipeline = new Pipeline(host, "endless", ENDLESS);
  const { child, ended } = pipeline.start();
  const api = host.api();
  let run;
  do run = (await api.get("/api/ci/runs?limit=1")).items[0];
  while (run.outcome !== "running" || run.steps.running !== 1);
  const page = await profile.page(stepPath(run, "spins"));
  await page.locator(".beside").getByText("Running").waitFor();
  child.kill("SIGKILL");
  await ended;
  await page.locator(".beside").getByText("Cancelled").waitFor();
  await page.goto(runPath(run));
  await page.locator(".beside").getByText("Interrupted").waitFor();
  await page.getByText("Its process ended before it did.").waitFor();
  await photograph(page, "ci-interrupted");
});

for (const scheme of ["light", "dark"]) {
  consoleTest(`axe finds nothing serious on the pages of runs, ${scheme}`, () => host, { scheme }, async (profile) => {
    profile.watch.allowStatus(404);
    const page = await profile.page("/");
    for (const { name, path, ready } of places()) {
      await page.goto(path);
      await ready(page);
      await settled(page);
      await photograph(page, `${name}-${scheme}`);
      await accessible(page, `${name}, ${scheme}`);
      assert.deepEqual(await contrasts(page, 6), [], `${name}, ${scheme}: text below 6:1`);
    }
    for (const path of ["/ci/no-such-run", `${runPath(last)}/no-such-step`]) {
      await page.goto(path);
      await page.getByText(/^No such (run|step)$/).waitFor();
      await accessible(page, `${path}, ${scheme}`);
    }
  });
}

for (const width of [320, 768, 1280]) {
  consoleTest(`no page of a run scrolls sideways at ${width} px`, () => host, { width, height: 900 }, async (profile) => {
    const page = await profile.page("/");
    for (const { name, path, ready } of places()) {
      await page.goto(path);
      await ready(page);
      await settled(page);
      await photograph(page, `${name}-${width}`);
      const over = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      assert.ok(over <= 0, `${name} is ${over} px too wide at ${width} px`);
    }
  });
}

consoleTest("a run stays on its page while the host is away, and a failure says how to go on", () => host, {}, async (profile) => {
  profile.watch.allowAway();
  profile.watch.allowStatus(500);
  const page = await profile.page(runPath(last));
  await heading(page, last.run_id);
  const steps = page.locator(".ci-steps");
  await steps.getByText("make", { exact: true }).first().waitFor();
  await page.route("**/*", (route) => route.abort());
  await page.getByText("Offline", { exact: true }).first().waitFor({ timeout: 20_000 });
  assert.ok(await steps.getByRole("link", { name: "make" }).isVisible());
  await page.unroute("**/*");
  await page.getByText("Live", { exact: true }).first().waitFor({ timeout: 20_000 });

  const body = { type: "about:blank", title: "Internal error", status: 500, code: "internal", detail: "an internal error" };
  const fails = (route) =>
    route.fulfill({ status: 500, contentType: "application/problem+json", body: JSON.stringify(body) });
  await page.route("**/log?*", fails);
  await page.goto(stepPath(last, "say"));
  const log = page.getByRole("region", { name: "Log" });
  await log.getByText("internal", { exact: true }).waitFor();
  await page.unroute("**/log?*");
  await log.getByRole("button", { name: "Try again" }).click();
  await log.locator(".line").first().waitFor();
  assert.equal(await log.getByRole("alert").count(), 0);
});

consoleTest("without a run, the page says how to make one", () => host, { role: null }, async (profile) => {
  const token = await host.newToken("viewer", "--runtime", host.runtimeId);
  await profile.logIn("viewer", token);
  const page = await profile.page("/ci");
  await page.getByText("No runs yet").waitFor();
  await page.getByText("limited to some runtimes").waitFor();
});
