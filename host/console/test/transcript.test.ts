import assert from "node:assert/strict";
import { test } from "node:test";

import { type Entry, type EntryKind, type EntryPage, type EntryQuery, passes } from "../src/api/entry";
import { BLOCK_ROWS, TranscriptWindow } from "../src/api/transcript";
import { BEGINNING, arrange } from "../src/api/turns";

/** A transcript that answers as the host does, with small pages so that filters need several. */
class FakeHost {
  entries: Entry[] = [];
  /** Trimmed up to here. */
  trimmed = 0;
  looksAt = 1000;
  requests = 0;
  fails = 0;

  write(count: number, of: (seq: number) => Partial<Entry> = () => ({})): void {
    for (let n = 0; n < count; n += 1) {
      const seq = this.last + 1;
      this.entries.push({
        seq,
        at: new Date(1_764_000_000_000 + seq).toISOString(),
        kind: "log",
        body: `line ${seq}`,
        ...of(seq),
      });
    }
  }

  trim(to: number): void {
    this.trimmed = to;
    this.entries = this.entries.filter((entry) => entry.seq > to);
  }

  get last(): number {
    return this.entries.at(-1)?.seq ?? this.trimmed;
  }

  gap(): Entry[] {
    return this.trimmed === 0 ? [] : [{ seq: this.trimmed, at: this.entries[0]!.at, kind: "gap" }];
  }

  page = async (query: EntryQuery): Promise<EntryPage> => {
    this.requests += 1;
    await Promise.resolve();
    if (this.fails > 0) {
      this.fails -= 1;
      throw new Error("no answer");
    }
    const kinds = (query.kind?.split(",") ?? []) as EntryKind[];
    const filter = { kinds, inputId: query.input_id, text: query.q };
    const isFiltered = kinds.length > 0 || query.input_id !== undefined || query.q !== undefined;
    const all = [...this.gap(), ...this.entries];
    const limit = query.last ?? query.limit ?? 100;
    const looks = isFiltered ? this.looksAt : Infinity;
    const ends = {
      first_seq: this.entries[0]?.seq ?? null,
      last_seq: this.entries.length > 0 ? this.last : null,
    };
    const found: Entry[] = [];
    if (query.before !== undefined || query.last !== undefined) {
      const before = query.before ?? this.last + 1;
      let looked = 0;
      let at = before;
      const older = all.filter((entry) => entry.seq < before).reverse();
      let more = false;
      for (const entry of older) {
        if (found.length >= limit || looked >= looks) {
          more = true;
          break;
        }
        looked += 1;
        at = entry.seq;
        if (passes(filter, entry)) found.unshift(entry);
      }
      return {
        items: found,
        next_cursor: String(Math.min(before - 1, this.last)),
        prev_cursor: more ? String(at) : null,
        more,
        ...ends,
      };
    }
    const from =
      query.at === undefined
        ? (query.after ?? 0)
        : (this.entries.find((e) => e.at >= query.at!)?.seq ?? this.last + 1) - 1;
    let looked = 0;
    let at = from;
    let more = false;
    for (const entry of all.filter((one) => one.seq > from)) {
      if (found.length >= limit || looked >= looks) {
        more = true;
        break;
      }
      looked += 1;
      at = entry.seq;
      if (passes(filter, entry)) found.push(entry);
    }
    return {
      items: found,
      next_cursor: String(Math.max(at, from)),
      prev_cursor: from > this.trimmed ? String(from + 1) : null,
      more,
      ...ends,
    };
  };
}

function open(host: FakeHost): TranscriptWindow {
  return new TranscriptWindow(host, () => undefined);
}

const seqs = (window: TranscriptWindow) =>
  window.blocks.flatMap((block) => block.rows.map((row) => row.entry.seq));

function assertWhole(window: TranscriptWindow, from?: number, to?: number): void {
  const found = seqs(window);
  for (let at = 1; at < found.length; at += 1)
    assert.equal(found[at], found[at - 1]! + 1, "a hole or a repeat");
  assert.equal(window.count, found.length);
  if (from !== undefined) assert.equal(found[0], from);
  if (to !== undefined) assert.equal(found.at(-1), to);
  for (const block of window.blocks) assert.ok(block.rows.length <= BLOCK_ROWS);
}

async function settled(window: TranscriptWindow): Promise<void> {
  for (let n = 0; n < 200 && (window.unread > 0 || window.phase === "loading"); n += 1)
    await Promise.resolve();
}

test("a million entries open at the end with one request, and grow backwards", async () => {
  const host = new FakeHost();
  host.write(1_000);
  const window = open(host);
  await window.openEnd();
  assert.equal(host.requests, 1);
  assertWhole(window, 801, 1_000);
  assert.ok(window.atEnd && !window.atStart);
  while (await window.older());
  assertWhole(window, 1, 1_000);
  assert.ok(window.atStart);
});

test("an entry opens in its surroundings, and the window grows to the end", async () => {
  const host = new FakeHost();
  host.write(3_000);
  const window = open(host);
  await window.openAt(512);
  assert.ok(window.find(512) && window.find(412) && window.find(600));
  assert.ok(!window.atEnd && !window.atStart && window.unread > 0);
  window.accept([{ ...host.entries.at(-1)!, seq: 3_001 }]);
  assertWhole(window);
  host.write(1);
  while (await window.newer());
  assert.ok(window.atEnd);
  assertWhole(window, 412, 3_001);
});

test("a trimmed entry leads to the gap and what is left", async () => {
  const host = new FakeHost();
  host.write(3_000);
  host.trim(2_000);
  const window = open(host);
  await window.openAt(512);
  assert.deepEqual(seqs(window).slice(0, 2), [2_000, 2_001]);
  assert.equal(window.blocks[0]!.rows[0]!.entry.kind, "gap");
  assert.equal(window.first, 2_001);
  assert.ok(window.atStart);
  await window.openEnd();
  while (await window.older());
  assert.deepEqual(seqs(window).slice(0, 2), [2_000, 2_001]);
});

test("streams that repeat, skip and break leave no hole and no repeat", async () => {
  let seed = 5;
  const random = (below: number) => {
    seed = (seed * 1103515245 + 12345) & 0x7fffffff;
    return (seed >> 8) % below;
  };
  for (let round = 0; round < 60; round += 1) {
    const host = new FakeHost();
    host.write(random(400));
    const window = open(host);
    await window.openEnd();
    let stream = window.resumeAfter;
    for (let step = 0; step < 40; step += 1) {
      host.write(random(30));
      const kind = random(5);
      // The stream continues, starts again earlier, skips some, or is away while much is written.
      if (kind === 0) stream = Math.max(0, window.resumeAfter - random(20));
      if (kind === 1) stream += random(10);
      if (kind === 2) host.fails = random(2);
      const part = host.entries.filter((entry) => entry.seq > stream).slice(0, 1 + random(50));
      if (part.length > 0) stream = part.at(-1)!.seq;
      window.accept(part);
      if (random(3) === 0) await window.older();
      if (random(4) === 0) await settled(window);
      assertWhole(window);
    }
    window.accept(host.entries.slice(-1));
    await settled(window);
    while (!window.atEnd) await window.newer();
    await settled(window);
    assertWhole(window, undefined, host.last);
  }
});

test("entries that come while the end is opened are not lost", async () => {
  const host = new FakeHost();
  host.write(300);
  const window = open(host);
  const opening = window.openEnd();
  host.write(50);
  window.accept(host.entries.slice(-50));
  host.write(1);
  await opening;
  window.accept(host.entries.slice(-1));
  await settled(window);
  assertWhole(window, undefined, 351);
});

test("entries that were trimmed while the stream was away are shown as a gap", async () => {
  const host = new FakeHost();
  host.write(300);
  const window = open(host);
  await window.openEnd();
  host.write(5_000);
  host.trim(4_000);
  window.accept([...host.gap(), ...host.entries.slice(0, 10)]);
  await settled(window);
  const found = seqs(window);
  assert.deepEqual(found.slice(199, 203), [300, 4_000, 4_001, 4_002]);
});

test("memory is bounded while following, and nothing is missing afterwards", async () => {
  const host = new FakeHost();
  host.write(100);
  const window = open(host);
  await window.openEnd();
  for (let n = 0; n < 400; n += 1) {
    host.write(100);
    window.accept(host.entries.slice(-100));
  }
  assert.ok(window.count <= 12_000 && window.count >= 9_000, String(window.count));
  assertWhole(window, undefined, 40_100);
  assert.ok(!window.atStart);
  const [first] = window.range!;
  await window.older();
  assertWhole(window);
  assert.ok(window.range![0] < first);
});

test("a reader's rows are not dropped: the window stops following instead", async () => {
  const host = new FakeHost();
  host.write(1_000);
  const window = open(host);
  await window.openEnd();
  window.mayDropOldest = false;
  const [first] = window.range!;
  for (let n = 0; n < 200; n += 1) {
    host.write(100);
    window.accept(host.entries.slice(-100));
  }
  assert.equal(window.range![0], first);
  assert.ok(!window.atEnd && window.unread > 0);
  assert.ok(window.count < 17_000);
  assertWhole(window);
  await window.openEnd();
  assertWhole(window, undefined, host.last);
});

test("going backwards drops the end, which is read again", async () => {
  const host = new FakeHost();
  host.write(30_000);
  const window = open(host);
  await window.openEnd();
  while (await window.older());
  assert.ok(!window.atEnd && window.count <= 12_000);
  assertWhole(window, 1);
  await window.newer();
  assertWhole(window, 1);
});

test("long bodies count too", async () => {
  const host = new FakeHost();
  host.write(50, () => ({ body: "x".repeat(1 << 20) }));
  const window = open(host);
  await window.openEnd();
  while (await window.older());
  assert.ok(window.count <= 50);
  assertWhole(window);
  const more = () => {
    host.write(1, () => ({ body: "x".repeat(1 << 20) }));
    window.accept(host.entries.slice(-1));
  };
  for (let n = 0; n < 200; n += 1) more();
  assert.ok(window.count < 200);
});

test("a filter finds rare entries far back, in bounded steps", async () => {
  const host = new FakeHost();
  host.write(50_000, (seq) => (seq % 10_000 === 7 ? { kind: "failure", body: "{}" } : {}));
  const window = open(host);
  await window.setFilter({ kinds: ["failure"] });
  assert.ok(host.requests <= 8);
  for (let n = 0; n < 20 && !window.atStart; n += 1) await window.older();
  assert.deepEqual(seqs(window), [7, 10_007, 20_007, 30_007, 40_007]);
  host.write(3, (seq) => (seq === 50_002 ? { kind: "failure" } : {}));
  window.accept(host.entries.slice(-3));
  assert.equal(seqs(window).at(-1), 50_002);
  assert.equal(window.unread, 0);
  const found = await window.nextOnHost(30_007, -1, { kinds: ["failure"] });
  assert.equal(found?.seq, 20_007);
  assert.equal(await window.nextOnHost(50_002, 1, { kinds: ["failure"] }), undefined);
});

test("a time opens at its first entry", async () => {
  const host = new FakeHost();
  host.write(5_000);
  const window = open(host);
  assert.equal(await window.openTime(host.entries[2_499]!.at), 2_500);
  assert.ok(window.find(2_500));
});

test("a failed read is shown and can be repeated", async () => {
  const host = new FakeHost();
  host.write(500);
  const window = open(host);
  host.fails = 1;
  await window.openEnd();
  assert.equal(window.phase, "failed");
  await window.openEnd();
  assert.equal(window.phase, "ready");
  host.fails = 1;
  assert.equal(await window.older(), false);
  assert.ok(window.problem instanceof Error);
  assert.equal(await window.older(), true);
  assert.equal(window.problem, undefined);
  assertWhole(window, 101, 500);
});

test("an input that waits is a row of the running turn", () => {
  const entry = (seq: number, kind: EntryKind, input_id?: string): Entry => ({
    seq,
    at: "",
    kind,
    input_id: input_id ?? null,
  });
  const { rows } = arrange(
    [
      entry(1, "created"),
      entry(2, "input", "a"),
      entry(3, "connected"),
      entry(4, "input", "b"),
      entry(5, "log", "a"),
      entry(6, "input", "c"),
      entry(7, "output", "a"),
      entry(8, "log", "b"),
      entry(9, "output", "b"),
      entry(10, "input", "d"),
    ],
    BEGINNING,
  );
  const shown = rows.map(
    ({ entry: { seq }, heads, waits }) => `${seq}${heads ? "H" : ""}${waits ? "w" : ""}`,
  );
  assert.deepEqual(shown, ["1", "2H", "3", "4w", "5", "6w", "7", "8H", "9", "10H"]);
});

test("headers are the same whether rows came forwards or backwards", async () => {
  const host = new FakeHost();
  let turn = 0;
  host.write(2_000, (seq) => {
    if (seq % 7 === 0) turn += 1;
    const kind: EntryKind = seq % 7 === 0 ? "input" : seq % 7 === 5 ? "output" : "log";
    return { kind, input_id: seq % 11 === 0 && kind === "log" ? null : `t${turn}` };
  });
  const forwards = open(host);
  await forwards.openAt(1);
  while (!forwards.atEnd) await forwards.newer();
  const backwards = open(host);
  await backwards.openEnd();
  while (await backwards.older());
  const shown = (window: TranscriptWindow) =>
    window.blocks.flatMap((block) => block.rows.map((row) => [row.entry.seq, row.heads, row.waits]));
  assert.deepEqual(shown(backwards), shown(forwards));
  const { value } = backwards.turns.of("t9");
  assert.equal(value.ending, "completed");
  assert.equal(value.firstSeq, 63);
});
