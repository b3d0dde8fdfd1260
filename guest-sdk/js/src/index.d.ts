/** A message that was accepted for this worker. */
export interface Input {
  /** The media type from the sender, `application/octet-stream` by default. The body is not checked against it. */
  readonly contentType: string;
  /** The message itself, at most `input_bytes` long. */
  readonly body: Uint8Array<ArrayBuffer>;
  /** Returns the body as text. A body that is not UTF-8 is the failure `not-text`. */
  text(): string;
  /** Returns the body's JSON value. A body that is not JSON is the failure `not-json`. */
  json<T = unknown>(): T;
}

/** An answer of any media type. */
export interface Output {
  readonly contentType: string;
  readonly body: string | ArrayBuffer | ArrayBufferView;
}

/** What `handle()` returns: text, bytes, an answer with a media type, or a value as JSON. */
export type Answer = string | ArrayBuffer | ArrayBufferView | Output | number | boolean | null | object;

/** The reason why an instance was created. */
export type ConnectReason = "created" | "input" | "restart" | "update";

/** The default export of the entry. */
export interface Worker {
  /** Handles one input. Calls are sequential, in the order of acceptance. */
  handle(input: Input): Answer | Promise<Answer>;
  /** Called once on each new instance, before its first input. `state` cannot be written here. */
  connected?(reason: ConnectReason): void | Promise<void>;
  /** Called before the host drops a healthy instance. `state` cannot be written here. */
  disconnecting?(): void | Promise<void>;
}

/** The default export of the entry of an HTTP worker: with `kind = "web"` in `skep-worker.toml`. */
export interface WebWorker {
  /** Handles one request. Its body is complete, and so is that of the response. */
  fetch(request: Request): Response | Promise<Response>;
}

/** Returns the worker as it is. It checks the type of the object, and gives `input` or `request` its own. */
export declare function defineWorker<W extends Worker>(worker: W & Worker): W;
export declare function defineWorker<W extends WebWorker>(worker: W & WebWorker): W;

/** The reason why an input could not be handled. It undoes the turn's writes to `state`. */
export declare class Failure extends Error {
  /** `code` is a short stable word that callers can match on, `message` one sentence for the sender. */
  constructor(code: string, message: string, options?: ErrorOptions);
  readonly code: string;
}

/** An error of `state`: `state-invalid-key`, `state-too-large`, `state-not-text`, `state-not-json`, `state-unavailable`. */
export declare class StateError extends Failure {
  constructor(code: string, message: string);
}

/** An error of `transcript`: `transcript-too-large`, `transcript-too-many`, `transcript-invalid-kind`, `transcript-unavailable`. */
export declare class TranscriptError extends Failure {
  constructor(code: string, message: string);
}

/** An error of a file under `/data`. Its code is `io`, its `reason` the name of the WASI error, such as `no-entry`. */
export declare class FileError extends Failure {
  constructor(message: string, reason: string);
  readonly reason: string;
}

/** An error of `fetch()`: `fetch-invalid-request`, `fetch-denied`, `fetch-too-large`, `fetch-timed-out`, `fetch-failed`. */
export declare class FetchError extends Failure {
  constructor(code: string, message: string);
}

/** The worker's durable keys and values. A turn's writes are committed with its outcome, or not at all. */
export declare const state: {
  /** Returns the bytes of a key, or `undefined`. */
  get(key: string): Uint8Array<ArrayBuffer> | undefined;
  /** Returns the text of a key, or `undefined`. */
  getText(key: string): string | undefined;
  /** Returns the JSON value of a key, or `undefined`. */
  getJson<T = unknown>(key: string): T | undefined;
  /** Sets a key to text or bytes. */
  set(key: string, value: string | ArrayBuffer | ArrayBufferView): void;
  /** Sets a key to a value as JSON. */
  setJson(key: string, value: unknown): void;
  /** Removes a key. Returns true if it existed. */
  delete(key: string): boolean;
  /** Lists the keys that begin with `prefix`, in ascending order of their bytes. */
  keys(prefix?: string): Generator<string, void, undefined>;
};

/** One entry of the worker's record. */
export interface Entry {
  readonly seq: number;
  readonly at: Date;
  /** The kind: `input`, `event`, `output`, `log`, `failure` and so on. */
  readonly kind: string;
  /** The worker's name for the event, for an entry of kind `event`. */
  readonly event: string | undefined;
  readonly inputId: string | undefined;
  readonly contentType: string;
  readonly body: Uint8Array<ArrayBuffer>;
  text(): string;
  json<T = unknown>(): T;
}

/** The worker's durable, append-only record. */
export declare const transcript: {
  /** Appends an event of this turn: text, bytes, or a value as JSON. A turn that fails later keeps its events. */
  emit(kind: string, body?: unknown, contentType?: string): void;
  /** Reads this worker's entries after a position, at most `limit` and never more than 1,000. */
  read(after?: number, limit?: number): { entries: Entry[]; next: number | undefined };
};

/** The worker's config bundle: text values, fixed while the worker runs. */
export declare const config: {
  get(key: string): string | undefined;
  /** Returns all keys and values, sorted by key. */
  all(): Record<string, string>;
};

/** The identity of the worker, and the current input. */
export declare const context: {
  readonly runtimeId: string;
  readonly workerId: string;
  /** The id of the input being handled, or `undefined` outside of a turn. */
  readonly inputId: string | undefined;
  /** The number of this attempt at the input, from 1. */
  readonly attempt: number;
  /** The milliseconds left until the turn's deadline, or `undefined` if there is none. */
  readonly remainingMs: number | undefined;
};

/** The files under `/data`, the worker's own directory. Files that a turn writes stay if it fails. */
export declare const data: {
  /** Returns the bytes of a file. */
  read(path: string): Uint8Array<ArrayBuffer>;
  /** Returns the text of a file. */
  readText(path: string): string;
  /** Writes a file, and makes the folders above it. */
  write(path: string, content: string | ArrayBuffer | ArrayBufferView): void;
  /** Appends to a file, which is created where it is missing. */
  append(path: string, content: string | ArrayBuffer | ArrayBufferView): void;
  /** Lists the names in a folder in order; the name of a folder ends with `/`. */
  list(path?: string): string[];
  /** Removes a file or an empty folder. Returns true if it existed. */
  remove(path: string): boolean;
  /** Says whether a file or folder exists. */
  exists(path: string): boolean;
};
