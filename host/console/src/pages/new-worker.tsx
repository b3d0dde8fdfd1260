// The dialog that makes a worker of a component. It stands here to have a chunk and a style sheet
// of its own, loaded when a file is first dropped.

export { CreateWorker as default } from "../flows/create-worker";
