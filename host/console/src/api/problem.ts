// Failures of requests: problems that the host reports, and hosts that do not answer.

import type { components } from "./schema";

type Wire = components["schemas"]["Problem"];

/** The permission that a refused request needs. */
export type Needs = NonNullable<Wire["needs"]>;

/** A problem of RFC 9457, as the host reports it. */
export class Problem extends Error {
  readonly status: number;
  readonly code: string;
  readonly title: string;
  /** The occurrence and the next step, in one or two sentences. */
  readonly detail: string;
  readonly reason: string | null;
  readonly subject: string | null;
  readonly limit: string | null;
  readonly retryAfterMs: number | null;
  readonly needs: Needs | null;

  constructor(wire: Partial<Wire> & { status: number }) {
    super(wire.detail || wire.title || `The host answered with status ${wire.status}.`);
    this.name = "Problem";
    this.status = wire.status;
    this.code = wire.code ?? "unknown";
    this.title = wire.title ?? "Request failed";
    this.detail = this.message;
    this.reason = wire.reason ?? null;
    this.subject = wire.subject ?? null;
    this.limit = wire.limit ?? null;
    this.retryAfterMs = wire.retry_after_ms ?? null;
    this.needs = wire.needs ?? null;
  }

  /** Reads the problem in a response that was not successful. */
  static async of(response: Response): Promise<Problem> {
    return Problem.parse(response.status, await response.text().catch(() => ""));
  }

  /** Reads a problem from the text of a response. A proxy's page is not shown as one. */
  static parse(status: number, text: string): Problem {
    try {
      const wire: unknown = JSON.parse(text);
      if (typeof wire === "object" && wire !== null) return new Problem({ ...wire, status });
    } catch {
      // Not JSON: something between here and the host answered.
    }
    return new Problem({ status });
  }
}

/** The host did not answer: it is down, restarting, or out of reach. */
export class Unreachable extends Error {
  constructor() {
    super("Skep does not answer.");
    this.name = "Unreachable";
  }
}

/** Tells a request that its page gave up from one that failed. */
export function isAbort(error: unknown): boolean {
  return error instanceof DOMException && error.name === "AbortError";
}

/** Returns the sentence to show for a failure. */
export function sentence(error: unknown): string {
  if (error instanceof Error) return error.message;
  return "The request failed.";
}
