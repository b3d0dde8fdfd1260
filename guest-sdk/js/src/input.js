import { Failure } from "./failure.js";
import { toText } from "./bytes.js";

/** A message that was accepted for this worker. */
export class Input {
  constructor(contentType, body) {
    this.contentType = contentType;
    this.body = body;
  }

  /** Returns the body as text. A body that is not UTF-8 is the failure `not-text`. */
  text() {
    try {
      return toText(this.body);
    } catch {
      throw new Failure("not-text", "the body is not text: it is not valid UTF-8");
    }
  }

  /** Returns the body's JSON value. A body that is not JSON is the failure `not-json`. */
  json() {
    const text = this.text();
    try {
      return JSON.parse(text);
    } catch (error) {
      throw new Failure("not-json", `the body is not JSON: ${error.message}`);
    }
  }
}
