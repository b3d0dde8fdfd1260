import type { ConnectReason, WebWorker, Worker } from "./index.js";

/** The answer of a turn. */
export declare class Answer {
  readonly contentType: string;
  readonly body: Uint8Array<ArrayBuffer>;
  text(): string;
  json<T = unknown>(): T;
}

/** An emitted event. */
export interface EmittedEvent extends Answer {
  readonly kind: string;
}

/** A request that `double.fetch` answers. */
export interface DoubleRequest {
  readonly method: string;
  readonly url: string;
  readonly headers: [string, string][];
  readonly body: Uint8Array<ArrayBuffer>;
  readonly timeoutMs: number | null;
}

/** The answer of `double.fetch`; an object as a body is JSON. */
export interface DoubleResponse {
  status?: number;
  headers?: Record<string, string> | [string, string][];
  body?: string | ArrayBuffer | ArrayBufferView | object;
}

/** What a test sets and looks at. */
export declare const double: {
  /** Forgets everything. */
  reset(): void;
  readonly state: Map<string, Uint8Array<ArrayBuffer>>;
  /** All emitted events in order, with those of failed turns. */
  readonly events: EmittedEvent[];
  /** The files under `/data` by path. */
  readonly files: Map<string, Uint8Array<ArrayBuffer>>;
  config: Record<string, string>;
  attempt: number;
  remainingMs: number | undefined;
  setIdentity(runtimeId: string, workerId: string): void;
  set fetch(answer: ((request: DoubleRequest) => DoubleResponse) | undefined);
};

/** Runs one turn as the host does. A failure rejects with the `Failure`, any other error with one of the code `exception`. */
export declare function send(worker: Worker, body?: unknown, contentType?: string): Promise<Answer>;
/** Passes one request to an HTTP worker as the host does: `respond(worker, "/notes", { method: "POST", body: "x" })`. A failure rejects as that of `send` does. */
export declare function respond(worker: WebWorker, path?: string, init?: RequestInit): Promise<Response>;
/** Calls the hook for a new instance, in which the state cannot be written. */
export declare function connected(worker: Worker, reason?: ConnectReason): Promise<void>;
/** Calls the hook before an instance is dropped, in which the state cannot be written. */
export declare function disconnecting(worker: Worker): Promise<void>;
