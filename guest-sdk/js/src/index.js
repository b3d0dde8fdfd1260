export { Failure, FetchError, FileError, StateError, TranscriptError } from "./failure.js";
export { Input } from "./input.js";
export { config } from "./config.js";
export { context } from "./context.js";
export { data } from "./data.js";
export { state } from "./state.js";
export { transcript } from "./transcript.js";
export { defineWorker } from "./define.js";
