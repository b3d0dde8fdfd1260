// An ordinary failure of a turn, and the failures that the host's errors become.

/** The reason why an input could not be handled. It undoes the turn's writes to `state`. */
export class Failure extends Error {
  constructor(code, message, options) {
    super(message, options);
    this.name = "Failure";
    this.code = String(code);
  }
}

/** An error of `state`. Its code is `state-` and the error's name. */
export class StateError extends Failure {
  constructor(code, message) {
    super(code, message);
    this.name = "StateError";
  }
}

/** An error of `transcript`. Its code is `transcript-` and the error's name. */
export class TranscriptError extends Failure {
  constructor(code, message) {
    super(code, message);
    this.name = "TranscriptError";
  }
}

/** An error of a file under `/data`. Its code is `io`, its `reason` the name of the WASI error. */
export class FileError extends Failure {
  constructor(message, reason) {
    super("io", message);
    this.name = "FileError";
    this.reason = reason;
  }
}

/** An error of `fetch()`. Its code is `fetch-` and the error's name. */
export class FetchError extends Failure {
  constructor(code, message) {
    super(code, message);
    this.name = "FetchError";
  }
}
