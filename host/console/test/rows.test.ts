import assert from "node:assert/strict";
import { test } from "node:test";

import { PagedRows } from "../src/parts/rows";

interface Row {
  id: number;
}

/** A host with numbered rows whose cursor is the number of rows before, in the order asked for. */
function host(total: number, backwards = false) {
  const asked: { cursor: string | null; limit: number; back: boolean }[] = [];
  const rows = new PagedRows<Row>({
    key: ({ id }) => String(id),
    backwards: () => backwards,
    load: async (cursor, limit, _, back) => {
      asked.push({ cursor, limit, back });
      const from = Number(cursor ?? 0);
      const to = Math.min(total, from + limit);
      const id = (at: number) => (back ? total - 1 - from - at : from + at);
      const items = Array.from({ length: to - from }, (_, at) => ({ id: id(at) }));
      return { items, next_cursor: to < total ? String(to) : null, matched: total };
    },
  });
  return { rows, asked };
}

/** Waits until the rows no longer load. */
async function settled(rows: PagedRows<Row>): Promise<void> {
  do await new Promise((resolve) => setImmediate(resolve));
  while (rows.loading.peek());
}

test("the first page is short, and the count is the host's", async () => {
  const { rows, asked } = host(100_000);
  await rows.reload();
  assert.deepEqual(asked[0], { cursor: null, limit: 100, back: false });
  assert.equal(rows.count.value, 100_000);
  assert.deepEqual(rows.at(0), { id: 0 });
  assert.equal(rows.at(90_000), undefined);
});

test("rows far down load page by page, without hole or repeat", async () => {
  const { rows } = host(5_000);
  await rows.reload();
  rows.want(4_960, 4_999);
  await settled(rows);
  assert.deepEqual(rows.at(4_999), { id: 4_999 });
  assert.equal(rows.count.value, 5_000);
  for (let at = 4_500; at < 5_000; at += 1) assert.equal(rows.at(at)?.id, at);
});

test("the last rows are read from the end", async () => {
  const { rows, asked } = host(100_000, true);
  await rows.reload();
  await settled(rows);
  const before = asked.length;
  rows.want(99_960, 100_000);
  await settled(rows);
  assert.deepEqual(asked.slice(before), [{ cursor: null, limit: 100, back: true }]);
  for (let at = 99_900; at < 100_000; at += 1) assert.equal(rows.at(at)?.id, at);
  rows.want(99_700, 99_740);
  await settled(rows);
  for (let at = 99_700; at < 100_000; at += 1) assert.equal(rows.at(at)?.id, at);
});

test("both ends meet without hole or repeat", async () => {
  const { rows } = host(1_500, true);
  await rows.reload();
  rows.want(1_460, 1_499);
  await settled(rows);
  for (let at = 1_400; at >= 0; at -= 40) {
    rows.want(at, at + 40);
    await settled(rows);
  }
  assert.equal(rows.count.value, 1_500);
  for (let at = 0; at < 1_500; at += 1) assert.equal(rows.at(at)?.id, at);
});

test("rows that were forgotten load again by their cursor", async () => {
  const { rows, asked } = host(20_000);
  await rows.reload();
  rows.want(19_900, 19_999);
  await settled(rows);
  assert.equal(rows.at(0), undefined, "the first page was forgotten");
  const before = asked.length;
  rows.want(0, 40);
  await settled(rows);
  assert.deepEqual(rows.at(0), { id: 0 });
  assert.deepEqual(asked[before], { cursor: null, limit: 100, back: false });
});

test("the memory of a long list is bounded", async () => {
  const { rows } = host(50_000);
  await rows.reload();
  rows.want(49_900, 49_999);
  await settled(rows);
  let loaded = 0;
  for (let at = 0; at < 50_000; at += 1) if (rows.at(at)) loaded += 1;
  assert.ok(loaded <= 8_000, `${loaded} rows`);
});

test("a loaded row can change, another cannot", async () => {
  const { rows } = host(100_000);
  await rows.reload();
  assert.equal(rows.change("3", () => ({ id: -3 })), true);
  assert.deepEqual(rows.at(3), { id: -3 });
  assert.equal(rows.change("70000", (row) => row), false);
});

test("a failure keeps the rows and can be tried again", async () => {
  let fails = false;
  const rows = new PagedRows<Row>({
    key: ({ id }) => String(id),
    load: async () => {
      if (fails) throw new Error("away");
      return { items: [{ id: 1 }], next_cursor: null };
    },
  });
  await rows.reload();
  fails = true;
  await rows.reload();
  assert.equal((rows.error.value as Error).message, "away");
  assert.deepEqual(rows.at(0), { id: 1 });
  fails = false;
  await rows.reload();
  assert.equal(rows.error.value, undefined);
});

test("an answer to an earlier question is dropped", async () => {
  const answers: ((rows: Row[]) => void)[] = [];
  const rows = new PagedRows<Row>({
    key: ({ id }) => String(id),
    load: () =>
      new Promise((resolve) => answers.push((items) => resolve({ items, next_cursor: null }))),
  });
  const [first, second] = [rows.reload(), rows.reload()];
  answers[1]?.([{ id: 2 }]);
  answers[0]?.([{ id: 1 }]);
  await Promise.all([first, second]);
  assert.deepEqual(rows.at(0), { id: 2 });
  assert.equal(rows.count.value, 1);
});
