// Event, EventTarget, AbortController and AbortSignal.

export class Event {
  constructor(type, options = {}) {
    this.type = String(type);
    this.cancelable = Boolean(options?.cancelable);
    this.bubbles = Boolean(options?.bubbles);
    this.target = null;
    this.currentTarget = null;
    this.defaultPrevented = false;
    this.stopped = false;
  }

  preventDefault() {
    if (this.cancelable) this.defaultPrevented = true;
  }

  stopPropagation() {}

  stopImmediatePropagation() {
    this.stopped = true;
  }
}

export class EventTarget {
  #listeners = new Map();

  addEventListener(type, listener, options) {
    if (listener === null || listener === undefined) return;
    const once = typeof options === "object" && Boolean(options?.once);
    const signal = typeof options === "object" ? options?.signal : undefined;
    if (signal?.aborted) return;
    const list = this.#listeners.get(type) ?? [];
    if (list.some((entry) => entry.listener === listener)) return;
    this.#listeners.set(type, [...list, { listener, once }]);
    signal?.addEventListener("abort", () => this.removeEventListener(type, listener), { once: true });
  }

  removeEventListener(type, listener) {
    const list = this.#listeners.get(type) ?? [];
    this.#listeners.set(type, list.filter((entry) => entry.listener !== listener));
  }

  dispatchEvent(event) {
    event.target = this;
    event.currentTarget = this;
    for (const { listener, once } of this.#listeners.get(event.type) ?? []) {
      if (event.stopped) break;
      if (once) this.removeEventListener(event.type, listener);
      if (typeof listener === "function") listener.call(this, event);
      else listener.handleEvent(event);
    }
    event.currentTarget = null;
    return !event.defaultPrevented;
  }
}

/** Marks a timer as one that need not be awaited: Node's own way, or the list of a component. */
export const background = { mark: (timer) => timer?.unref?.() };

let create = false;

export class AbortSignal extends EventTarget {
  #aborted = false;
  #reason;

  constructor() {
    if (!create) throw new TypeError("Illegal constructor");
    super();
    this.onabort = null;
  }

  get aborted() {
    return this.#aborted;
  }

  get reason() {
    return this.#reason;
  }

  throwIfAborted() {
    if (this.#aborted) throw this.#reason;
  }

  static #make() {
    create = true;
    try {
      return new AbortSignal();
    } finally {
      create = false;
    }
  }

  static make = () => AbortSignal.#make();

  static fire = (signal, reason) => {
    if (signal.#aborted) return;
    signal.#aborted = true;
    signal.#reason = reason === undefined ? new DOMException("This operation was aborted", "AbortError") : reason;
    const event = new Event("abort");
    signal.onabort?.call(signal, event);
    signal.dispatchEvent(event);
  };

  static abort(reason) {
    const signal = AbortSignal.#make();
    fire(signal, reason);
    return signal;
  }

  static timeout(ms) {
    const signal = AbortSignal.#make();
    timeouts.set(signal, { after: Number(ms), from: performance.now() });
    background.mark(setTimeout(() => fire(signal, new DOMException("The operation was aborted due to timeout", "TimeoutError")), ms));
    return signal;
  }

  static any(signals) {
    const list = [...signals];
    const all = AbortSignal.#make();
    const first = list.find((signal) => signal.aborted);
    if (first) fire(all, first.reason);
    else for (const signal of list) signal.addEventListener("abort", () => fire(all, signal.reason), { once: true });
    return all;
  }
}

const { make, fire } = AbortSignal;
delete AbortSignal.make;
delete AbortSignal.fire;

const timeouts = new WeakMap();

/** Returns the milliseconds that a signal of `AbortSignal.timeout` has left, or `undefined`. */
export function timeLeft(signal) {
  const timeout = timeouts.get(signal);
  return timeout && Math.max(0, timeout.after - (performance.now() - timeout.from));
}

export class AbortController {
  #signal = make();

  get signal() {
    return this.#signal;
  }

  abort(reason) {
    fire(this.#signal, reason);
  }
}
