// Slots for open streams, shared by the tabs of a browser. Over HTTP/1.1 a browser opens at most
// six connections to one host, over all tabs: a seventh tab with a stream would load nothing.
//
// The tab that is used last gets a slot, if need be from another tab; a tab without one reads its
// stream for a moment every few seconds.

/** Streams at a time. The other three connections of six are for requests. */
const SLOTS = 3;

export interface Slot {
  release(): void;
}

/** Claims a slot; null if all are taken. `lost` is called when another tab takes it. */
export async function claimSlot(lost: () => void): Promise<Slot | null> {
  // Absent where the page is not on a secure origin; then there is no way to count tabs.
  const locks: LockManager | undefined = navigator.locks;
  if (!locks) return { release: () => {} };
  for (let at = 0; at < SLOTS; at += 1) {
    const slot = await hold(locks, `skep-stream-${at}`, { ifAvailable: true }, lost);
    if (slot) return slot;
  }
  if (!document.hasFocus()) return null;
  return hold(locks, `skep-stream-${Math.floor(Math.random() * SLOTS)}`, { steal: true }, lost);
}

function hold(
  locks: LockManager,
  name: string,
  options: LockOptions,
  lost: () => void,
): Promise<Slot | null> {
  return new Promise((resolve) => {
    let released = false;
    const held = locks.request(name, options, (lock) => {
      if (!lock) {
        resolve(null);
        return undefined;
      }
      return new Promise<void>((release) => {
        resolve({
          release: () => {
            released = true;
            release();
          },
        });
      });
    });
    held.catch(() => {
      // Taken by another tab, which the promise reports as a rejection.
      if (!released) lost();
      resolve(null);
    });
  });
}
