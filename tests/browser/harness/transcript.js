// The transcript on a worker's page: where its parts are, and what it shows.

export class Transcript {
  constructor(page) {
    this.page = page;
    /** The element that scrolls. */
    this.scroller = page.getByRole("region", { name: "Transcript" });
    /** Rows of entries. */
    this.rows = page.locator("[data-seq]");
    this.message = page.getByRole("textbox", { name: "Message" });
    this.send = page.getByRole("button", { name: "Send", exact: true });
  }

  row(seq) {
    return this.page.locator(`[data-seq="${seq}"]`);
  }

  /** Rows of a kind. */
  ofKind(kind) {
    return this.rows.filter({ has: this.page.locator(".kind", { hasText: kind }) });
  }

  /** Waits until an entry is there and within the visible part. */
  async sees(seq, options) {
    await this.page.waitForFunction((seq) => {
      const row = document.querySelector(`[data-seq="${seq}"]`);
      const box = row?.getBoundingClientRect();
      const view = row?.closest("[role=region]")?.getBoundingClientRect();
      return box && box.bottom > view.top && box.top < view.bottom;
    }, seq, options);
  }

  /** The numbers of the rows in the document, in order. */
  seqs() {
    return this.rows.evaluateAll((rows) => rows.map((row) => Number(row.dataset.seq)));
  }

  /** Pixels between what is seen and the end. */
  gap() {
    return this.scroller.evaluate((box) => box.scrollHeight - box.scrollTop - box.clientHeight);
  }

  /** Scrolls up with the wheel, until what is seen is that far from the end. */
  async wheelUp(pixels) {
    await this.scroller.hover();
    const wanted = (await this.gap()) + pixels;
    await this.page.mouse.wheel(0, -pixels);
    const box = await this.scroller.elementHandle();
    await this.page.waitForFunction(
      ([box, wanted]) => box.scrollHeight - box.scrollTop - box.clientHeight >= wanted,
      [box, wanted - 10],
    );
  }

  /** The entry at the top of what is seen, and its distance from the top. */
  place() {
    return this.scroller.evaluate((box) => {
      const top = box.getBoundingClientRect().top;
      // A third down: sticky headers cover the very top.
      const line = top + box.clientHeight / 3;
      for (const row of box.querySelectorAll("[data-seq]")) {
        const at = row.getBoundingClientRect();
        if (at.top <= line && at.bottom > line) return { seq: Number(row.dataset.seq), top: at.top - top };
      }
      return null;
    });
  }

  /** Opens the composer for text. */
  async compose(text) {
    if (!(await this.message.count())) await this.page.getByRole("button", { name: /Send an input|Continue the input/ }).click();
    await this.page.getByRole("group", { name: "Input as" }).getByRole("button", { name: "Text" }).click();
    await this.message.fill(text);
  }

  /** Sends a text. */
  async write(text) {
    await this.compose(text);
    await this.send.click();
  }
}
