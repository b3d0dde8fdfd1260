// What is wrong with an author's project, in the author's terms.

/** One or more faults, each a text of one or more lines. */
export class Fault extends Error {
  constructor(...faults) {
    super(faults.join("\n"));
    this.faults = faults;
  }

  /** Makes a fault at a place: `src/worker.ts:3:7: error: …`. */
  static at(place, message) {
    return new Fault(`${place}: error: ${message}`);
  }

  /** Makes the fault of an error that the build did not expect. */
  static internal(error) {
    const message = String(error?.message ?? error).split("\n")[0];
    return new Fault(`error: the build failed: ${message}\n  run \`skep build\` again with an empty .skep folder; if it stays, report it with this line`);
  }
}

/** Prints the faults. */
export function report(fault) {
  process.stderr.write(`${fault.faults.join("\n")}\n`);
}
