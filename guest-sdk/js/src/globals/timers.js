// Timers of one turn. They run while `handle()` waits, in the order of their times.

/** A queue of timers over a clock in milliseconds. */
export class Timers {
  #clock;
  #list = [];
  #last = 0;

  constructor(clock) {
    this.#clock = clock;
  }

  /** Adds a timer, and returns its number. `every` is the period of an interval. */
  add(run, delay, args, repeats) {
    if (typeof run !== "function") throw new TypeError("the first argument of a timer has to be a function");
    const wait = Math.max(repeats ? 1 : 0, Math.trunc(Number(delay)) || 0);
    const timer = { id: ++this.#last, at: this.#clock() + wait, run, args, every: repeats ? wait : undefined };
    this.#insert(timer);
    return timer.id;
  }

  /** Removes a timer. A number that is not one is ignored. */
  remove(id) {
    const index = this.#list.findIndex((timer) => timer.id === Number(id));
    if (index >= 0) this.#list.splice(index, 1);
  }

  /** Marks a timer that may be pending at the end of a turn. */
  mark(id) {
    const timer = this.#list.find((other) => other.id === id);
    if (timer) timer.background = true;
  }

  /** Removes all timers, and returns how many there were that may not be left. */
  clear() {
    const count = this.#list.filter(({ background }) => !background).length;
    this.#list = [];
    return count;
  }

  /** Returns the milliseconds until the next timer is due, or `undefined` where there is none. */
  wait() {
    const first = this.#list[0];
    return first && Math.max(0, first.at - this.#clock());
  }

  /** Runs the next timer. */
  runNext() {
    const timer = this.#list.shift();
    if (timer.every !== undefined) {
      timer.at = Math.max(timer.at, this.#clock()) + timer.every;
      this.#insert(timer);
    }
    timer.run(...timer.args);
  }

  #insert(timer) {
    let index = this.#list.length;
    while (index > 0 && this.#list[index - 1].at > timer.at) index--;
    this.#list.splice(index, 0, timer);
  }
}
