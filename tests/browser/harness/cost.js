// What a page costs: CPU time of its main thread, frames, and its heap.

/** Measures the main thread while a step runs. CPU time is that of the thread, not wall time. */
export class MainThread {
  #session;

  static async of(page) {
    const thread = new MainThread();
    thread.#session = await page.context().newCDPSession(page);
    await thread.#session.send("Performance.enable", { timeDomain: "threadTicks" });
    thread.page = page;
    return thread;
  }

  async #metrics() {
    const { metrics } = await this.#session.send("Performance.getMetrics");
    return Object.fromEntries(metrics.map(({ name, value }) => [name, value]));
  }

  /** Runs a step, and returns its CPU time and the frames that were drawn meanwhile. */
  async during(step) {
    await this.page.evaluate(() => {
      const count = { frames: 0, on: true };
      const next = () => {
        count.frames += 1;
        if (count.on) requestAnimationFrame(next);
      };
      requestAnimationFrame(next);
      window.frameCount = count;
    });
    const before = await this.#metrics();
    const result = await step();
    const after = await this.#metrics();
    const frames = await this.page.evaluate(() => {
      window.frameCount.on = false;
      return window.frameCount.frames;
    });
    const cpuMs = (after.TaskDuration - before.TaskDuration) * 1_000;
    return { cpuMs, frames, perFrameMs: cpuMs / Math.max(1, frames), result };
  }

  /** The heap of scripts after a collection, in bytes. */
  async heap() {
    await this.#session.send("HeapProfiler.enable");
    await this.#session.send("HeapProfiler.collectGarbage");
    const { usedSize } = await this.#session.send("Runtime.getHeapUsage");
    return usedSize;
  }
}
