// The entry of a built service: the build puts the worker's bundle after it.
export { handler, lifecycle } from "./entry.js";
