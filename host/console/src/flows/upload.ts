// An upload with progress and cancel. `fetch` tells no progress of a request's body, so this uses
// XMLHttpRequest.

import type { components } from "../api/schema";

export type Problem = components["schemas"]["Problem"];
export type ComponentView = components["schemas"]["ComponentView"];

export interface Progress {
  sent: number;
  total: number;
}

export type Uploaded =
  | { ok: true; component: ComponentView }
  | { ok: false; cancelled: true }
  | { ok: false; cancelled: false; problem: Problem };

/** Uploads a component to a runtime. Aborting the signal ends it; the host then stores nothing. */
export function uploadComponent(
  runtimeId: string,
  file: Blob,
  onProgress: (progress: Progress) => void,
  signal: AbortSignal,
): Promise<Uploaded> {
  return new Promise((resolve) => {
    if (signal.aborted) {
      resolve({ ok: false, cancelled: true });
      return;
    }
    const request = new XMLHttpRequest();
    const abort = () => {
      request.abort();
    };
    const end = (result: Uploaded) => {
      signal.removeEventListener("abort", abort);
      resolve(result);
    };
    signal.addEventListener("abort", abort);
    request.open("POST", `/api/runtimes/${encodeURIComponent(runtimeId)}/components`);
    request.setRequestHeader("Content-Type", "application/wasm");
    request.responseType = "text";
    request.upload.addEventListener("progress", (event) => {
      onProgress({ sent: event.loaded, total: event.lengthComputable ? event.total : file.size });
    });
    request.addEventListener("load", () => {
      const answer = parse(request.responseText);
      if (request.status === 200 || request.status === 201) {
        end({ ok: true, component: answer as ComponentView });
      } else {
        end({ ok: false, cancelled: false, problem: problemOf(request.status, answer) });
      }
    });
    request.addEventListener("error", () => {
      end({ ok: false, cancelled: false, problem: unreachable() });
    });
    request.addEventListener("abort", () => {
      end({ ok: false, cancelled: true });
    });
    request.send(file);
  });
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

function problemOf(status: number, answer: unknown): Problem {
  if (typeof answer === "object" && answer !== null && "code" in answer) return answer as Problem;
  return {
    type: "about:blank",
    title: "Unexpected answer",
    status,
    code: "unexpected_answer",
    detail: `the host answered ${String(status)} without a problem document`,
  };
}

/** The host closes the connection when it refuses a body early, which looks the same. */
function unreachable(): Problem {
  return {
    type: "about:blank",
    title: "The upload was cut off",
    status: 0,
    code: "unreachable",
    detail: "the host did not answer, or closed the connection during the upload; try again",
  };
}
