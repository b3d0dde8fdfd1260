// Uploads with progress. `fetch` cannot tell how much of a body has left, so this is an
// XMLHttpRequest; aborting the signal ends the connection, and the host keeps nothing.

import { heard, missed } from "./connection";
import { type Method, type Options, url } from "./client";
import { Problem, Unreachable } from "./problem";
import { ended } from "./session";

export interface UploadOptions extends Options {
  /** Called with the bytes sent so far and their total. */
  progress?: (sent: number, total: number) => void;
}

/** Sends a file or bytes and reads the JSON of the answer. */
export function upload<T>(
  method: Method,
  path: string,
  body: Blob | Uint8Array<ArrayBuffer>,
  options: UploadOptions = {},
): Promise<T> {
  const { signal, progress } = options;
  return new Promise<T>((resolve, reject) => {
    const aborted = () => new DOMException("The upload was cancelled.", "AbortError");
    if (signal?.aborted) return reject(aborted());
    const sent = new XMLHttpRequest();
    sent.open(method.toUpperCase(), url(path, options));
    for (const [name, value] of Object.entries(options.headers ?? {})) {
      sent.setRequestHeader(name, value);
    }
    const cancel = () => sent.abort();
    signal?.addEventListener("abort", cancel);
    sent.onloadend = () => signal?.removeEventListener("abort", cancel);
    sent.upload.onprogress = ({ loaded, total }) => progress?.(loaded, total);
    sent.onabort = () => reject(aborted());
    sent.onerror = () => {
      missed();
      reject(new Unreachable());
    };
    sent.onload = () => {
      heard();
      if (sent.status >= 200 && sent.status < 300) {
        resolve((sent.responseText ? JSON.parse(sent.responseText) : undefined) as T);
        return;
      }
      if (sent.status === 401) ended();
      reject(Problem.parse(sent.status, sent.responseText));
    };
    sent.send(body);
    return undefined;
  });
}
