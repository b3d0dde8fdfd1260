/** Returns the worker as it is. It gives an object its type in a JavaScript or TypeScript file. */
export function defineWorker(worker) {
  return worker;
}
