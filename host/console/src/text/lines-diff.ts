// Two texts side by side: which lines are in both, by the longest common subsequence.

export interface SideLine {
  text: string;
  /** True if the other side lacks it. */
  changed: boolean;
}

export interface Sides {
  left: SideLine[];
  right: SideLine[];
}

/** Lines of one side that are compared. Beyond, the cost would grow with their product. */
const MOST_LINES = 600;

/** Compares texts line by line. Long ones are compared place by place. */
export function compareLines(left: string, right: string): Sides {
  const a = left === "" ? [] : left.split("\n");
  const b = right === "" ? [] : right.split("\n");
  const kept =
    a.length > MOST_LINES || b.length > MOST_LINES ? byPlace(a, b) : longestCommon(a, b);
  return {
    left: a.map((text, at) => ({ text, changed: !kept.left.has(at) })),
    right: b.map((text, at) => ({ text, changed: !kept.right.has(at) })),
  };
}

interface Kept {
  left: Set<number>;
  right: Set<number>;
}

function byPlace(a: readonly string[], b: readonly string[]): Kept {
  const same = a.flatMap((text, at) => (b[at] === text ? [at] : []));
  return { left: new Set(same), right: new Set(same) };
}

function longestCommon(a: readonly string[], b: readonly string[]): Kept {
  // lengths[i][j]: lines that a from i and b from j have in common.
  const lengths = Array.from({ length: a.length + 1 }, () => new Uint16Array(b.length + 1));
  const at = (i: number, j: number) => lengths[i]?.[j] ?? 0;
  for (let i = a.length - 1; i >= 0; i -= 1) {
    const row = lengths[i];
    if (!row) continue;
    for (let j = b.length - 1; j >= 0; j -= 1) {
      row[j] = a[i] === b[j] ? at(i + 1, j + 1) + 1 : Math.max(at(i + 1, j), at(i, j + 1));
    }
  }
  const kept: Kept = { left: new Set(), right: new Set() };
  let i = 0;
  let j = 0;
  while (i < a.length && j < b.length) {
    if (a[i] === b[j]) {
      kept.left.add(i);
      kept.right.add(j);
      i += 1;
      j += 1;
    } else if (at(i + 1, j) >= at(i, j + 1)) i += 1;
    else j += 1;
  }
  return kept;
}
