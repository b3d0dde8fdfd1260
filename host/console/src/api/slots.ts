// Slots for open streams, shared by the tabs of a browser. Over HTTP/1.1 a browser opens at most
// six connections to one host, over all tabs: a seventh tab with a stream would load nothing.
//
// The tab that a person turned to last gets a slot, if need be from another tab. Tabs without one
// take turns: each reads its stream for a moment, one after the other.

/** Streams that stay open. Of the other three connections, one is for turns and two for requests. */
const SLOTS = 3;

const TURN = "skep-stream-turn";

export interface Slot {
  /** False for a turn, which is to end soon. */
  stays: boolean;
  release(): void;
}

/** True if a person turned to this tab since it last lost a slot. Only then it may take another's:
 * two tabs that each believe to have the focus would take one slot from each other for ever. */
let turnedTo = true;

/** Starts to note when a person turns to this tab. */
export function noteAttention(): void {
  const note = () => (turnedTo = true);
  window.addEventListener("focus", note);
  window.addEventListener("pointerdown", note);
  document.addEventListener("visibilitychange", () => {
    if (document.visibilityState === "visible") note();
  });
}

/** Claims a slot, or waits for a turn. `lost` is called when another tab takes the slot. */
export async function claimSlot(lost: () => void, aborted: AbortSignal): Promise<Slot> {
  // Absent where the page is not on a secure origin; then there is no way to count tabs.
  const locks: LockManager | undefined = navigator.locks;
  if (!locks) return { stays: true, release: () => {} };
  for (let at = 0; at < SLOTS; at += 1) {
    const slot = await hold(locks, name(at), { ifAvailable: true }, lost);
    if (slot) return slot;
  }
  if (turnedTo) {
    const slot = await hold(locks, name(Math.floor(Math.random() * SLOTS)), { steal: true }, lost);
    if (slot) return slot;
  }
  const turn = await hold(locks, TURN, { signal: aborted }, lost);
  return turn ? { ...turn, stays: false } : { stays: false, release: () => {} };
}

const name = (at: number) => `skep-stream-${at}`;

function hold(
  locks: LockManager,
  lock: string,
  options: LockOptions,
  lost: () => void,
): Promise<Slot | null> {
  return new Promise((resolve) => {
    let held = false;
    let released = false;
    const request = locks.request(lock, options, (granted) => {
      if (!granted) {
        resolve(null);
        return undefined;
      }
      held = true;
      return new Promise<void>((release) => {
        resolve({
          stays: true,
          release: () => {
            released = true;
            release();
          },
        });
      });
    });
    request.catch(() => {
      // Taken by another tab, which the promise reports as a rejection; or the wait was given up.
      if (held && !released) {
        turnedTo = false;
        lost();
      }
      resolve(null);
    });
  });
}
