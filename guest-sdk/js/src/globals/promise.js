// A Promise whose jobs are in a queue of this SDK, so that a synchronous export can run them to
// the end. The order of the jobs is that of ECMAScript.

const PENDING = 0;
const FULFILLED = 1;
const REJECTED = 2;
const NAMES = ["pending", "fulfilled", "rejected"];

let jobs = [];
let next = 0;

/** Adds a job to the queue. */
export function enqueue(job) {
  jobs.push(job);
}

/** Runs all jobs, and those that they add. A job that throws ends the run; the others stay. */
export function drain() {
  while (next < jobs.length) {
    const job = jobs[next];
    jobs[next++] = undefined;
    if (next >= 1024) {
      jobs = jobs.slice(next);
      next = 0;
    }
    job();
  }
  jobs = [];
  next = 0;
}

/** Forgets all jobs. */
export function forgetJobs() {
  jobs = [];
  next = 0;
}

let rejected = new Set();

/** Returns the reasons of the promises that were rejected and that nothing handles, once. */
export function takeUnhandled() {
  if (rejected.size === 0) return [];
  const reasons = [...rejected].map((promise) => inspect(promise).value);
  rejected = new Set();
  return reasons;
}

/** Returns the state of a promise of this class and its value or reason. */
export let inspect;

function isObject(value) {
  return (typeof value === "object" && value !== null) || typeof value === "function";
}

function capability(Kind) {
  if (Kind === JobPromise) {
    const made = {};
    made.promise = new JobPromise((resolve, reject) => {
      made.resolve = resolve;
      made.reject = reject;
    });
    return made;
  }
  const made = { resolve: undefined, reject: undefined };
  made.promise = new Kind((resolve, reject) => {
    if (made.resolve !== undefined || made.reject !== undefined) throw new TypeError("Promise executor has already been invoked");
    made.resolve = resolve;
    made.reject = reject;
  });
  if (typeof made.resolve !== "function" || typeof made.reject !== "function") throw new TypeError("Promise resolve or reject function is not callable");
  return made;
}

function speciesOf(promise) {
  const { constructor } = promise;
  if (constructor === undefined || constructor === JobPromise) return JobPromise;
  if (!isObject(constructor)) throw new TypeError("the promise's constructor is not an object");
  return constructor[Symbol.species] ?? JobPromise;
}

function resolverOf(Kind) {
  if (!isObject(Kind)) throw new TypeError("Promise method was called on something that is not a constructor");
  const { resolve } = Kind;
  if (typeof resolve !== "function") throw new TypeError("Promise resolve is not a function");
  return resolve;
}

/** Calls `each(promise, index)` for the promises of a list; an error rejects the capability. */
function forEachPromise(Kind, list, made, each) {
  try {
    const resolve = resolverOf(Kind);
    let index = 0;
    for (const item of list) each(resolve.call(Kind, item), index++);
  } catch (error) {
    made.reject(error);
  }
  return made.promise;
}

/** Collects one value for each promise of a list, and calls `end(values)` after the last. */
function collect(Kind, list, made, end, subscribe) {
  const values = [];
  let left = 1;
  const done = () => {
    if (--left === 0) end(values);
  };
  const result = forEachPromise(Kind, list, made, (promise, index) => {
    values[index] = undefined;
    left++;
    let called = false;
    subscribe(promise, (value) => {
      if (called) return;
      called = true;
      values[index] = value;
      done();
    });
  });
  try {
    done();
  } catch (error) {
    made.reject(error);
  }
  return result;
}

class JobPromise {
  #state = PENDING;
  #value;
  #reactions = [];
  #handled = false;

  static {
    inspect = (promise) => ({ state: NAMES[promise.#state], value: promise.#value });
  }

  constructor(executor) {
    if (typeof executor !== "function") throw new TypeError(`Promise resolver ${String(executor)} is not a function`);
    const { resolve, reject } = this.#resolvers();
    try {
      executor(resolve, reject);
    } catch (error) {
      reject(error);
    }
  }

  #resolvers() {
    let called = false;
    const resolve = (value) => {
      if (called) return;
      called = true;
      this.#resolve(value);
    };
    const reject = (reason) => {
      if (called) return;
      called = true;
      this.#settle(REJECTED, reason);
    };
    return { resolve, reject };
  }

  #resolve(value) {
    if (value === this) return this.#settle(REJECTED, new TypeError("Chaining cycle detected for promise #<Promise>"));
    if (!isObject(value)) return this.#settle(FULFILLED, value);
    let then;
    try {
      then = value.then;
    } catch (error) {
      return this.#settle(REJECTED, error);
    }
    if (typeof then !== "function") return this.#settle(FULFILLED, value);
    enqueue(() => {
      const { resolve, reject } = this.#resolvers();
      try {
        then.call(value, resolve, reject);
      } catch (error) {
        reject(error);
      }
    });
  }

  #settle(state, value) {
    this.#state = state;
    this.#value = value;
    const reactions = this.#reactions;
    this.#reactions = undefined;
    for (const reaction of reactions) enqueue(reaction);
    if (state === REJECTED && !this.#handled) rejected.add(this);
  }

  then(onFulfilled, onRejected) {
    const made = capability(speciesOf(this));
    const reaction = () => {
      const handler = this.#state === FULFILLED ? onFulfilled : onRejected;
      if (typeof handler !== "function") {
        if (this.#state === FULFILLED) made.resolve(this.#value);
        else made.reject(this.#value);
        return;
      }
      let result;
      try {
        result = handler(this.#value);
      } catch (error) {
        made.reject(error);
        return;
      }
      made.resolve(result);
    };
    if (this.#state === PENDING) this.#reactions.push(reaction);
    else enqueue(reaction);
    if (this.#state === REJECTED && !this.#handled) rejected.delete(this);
    this.#handled = true;
    return made.promise;
  }

  catch(onRejected) {
    return this.then(undefined, onRejected);
  }

  finally(onFinally) {
    const Kind = speciesOf(this);
    if (typeof onFinally !== "function") return this.then(onFinally, onFinally);
    const resolve = resolverOf(Kind);
    return this.then(
      (value) => resolve.call(Kind, onFinally()).then(() => value),
      (reason) =>
        resolve.call(Kind, onFinally()).then(() => {
          throw reason;
        }),
    );
  }

  static get [Symbol.species]() {
    return this;
  }

  static resolve(value) {
    if (!isObject(this)) throw new TypeError("PromiseResolve called on non-object");
    if (isObject(value) && #state in value && value.constructor === this) return value;
    const made = capability(this);
    made.resolve(value);
    return made.promise;
  }

  static reject(reason) {
    const made = capability(this);
    made.reject(reason);
    return made.promise;
  }

  static withResolvers() {
    const { promise, resolve, reject } = capability(this);
    return { promise, resolve, reject };
  }

  static try(run, ...args) {
    const made = capability(this);
    try {
      made.resolve(run(...args));
    } catch (error) {
      made.reject(error);
    }
    return made.promise;
  }

  static all(list) {
    const made = capability(this);
    return collect(this, list, made, (values) => made.resolve(values), (promise, take) => promise.then(take, made.reject));
  }

  static allSettled(list) {
    const made = capability(this);
    return collect(this, list, made, (values) => made.resolve(values), (promise, take) =>
      promise.then(
        (value) => take({ status: "fulfilled", value }),
        (reason) => take({ status: "rejected", reason }),
      ),
    );
  }

  static any(list) {
    const made = capability(this);
    const end = (errors) => made.reject(new AggregateError(errors, "All promises were rejected"));
    return collect(this, list, made, end, (promise, take) => promise.then(made.resolve, take));
  }

  static race(list) {
    const made = capability(this);
    return forEachPromise(this, list, made, (promise) => {
      promise.then(made.resolve, made.reject);
    });
  }
}

Object.defineProperty(JobPromise, "name", { value: "Promise", configurable: true });
Object.defineProperty(JobPromise.prototype, Symbol.toStringTag, { value: "Promise", configurable: true });

export { JobPromise };

const NATIVE =
  "this promise belongs to the JavaScript engine, which runs no jobs in a worker, so it would never settle; " +
  "it comes from an async function made by eval() or new Function(), or from import() of a computed name: make it a part of the worker's source";

/** Makes each `await` of one of the engine's own promises an error that says why. */
export function refuseNative(Native) {
  Native.prototype.then = function then(onFulfilled, onRejected) {
    return JobPromise.reject(new Error(NATIVE)).then(onFulfilled, onRejected);
  };
}

/** `Array.fromAsync` over this class; the engine's own returns one of its own promises. */
export async function fromAsync(items, map, receiver) {
  if (items === null || items === undefined) throw new TypeError(`${items} is not iterable`);
  if (map !== undefined && typeof map !== "function") throw new TypeError(`${String(map)} is not a function`);
  const Kind = typeof this === "function" ? this : Array;
  const iterable = items[Symbol.asyncIterator] !== undefined || items[Symbol.iterator] !== undefined;
  const list = iterable ? new Kind() : new Kind(items.length);
  let index = 0;
  for await (const item of iterable ? items : Array.from(items)) {
    list[index] = map === undefined ? item : await map.call(receiver, item, index);
    index++;
  }
  list.length = index;
  return list;
}
