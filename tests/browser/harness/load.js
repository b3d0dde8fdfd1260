// A steady load of entries.

/** Entries of one turn. */
const EACH = 100;

/**
 * Makes a scribe emit `perSecond` entries a second until the returned function is called, which
 * returns the number of entries that were asked for. Turns start on a clock, not after each other,
 * so a slow turn does not lower the rate.
 */
export function emitSteadily(api, worker, perSecond) {
  const sent = [];
  let failure;
  const tick = () => {
    sent.push(api.input(worker, `emit-many ${EACH}`).catch((error) => (failure ??= error)));
  };
  const timer = setInterval(tick, (1_000 * EACH) / perSecond);
  return async () => {
    clearInterval(timer);
    await Promise.all(sent);
    if (failure) throw failure;
    return sent.length * EACH;
  };
}
