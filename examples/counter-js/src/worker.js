// Counts its inputs. Every input, whatever its type and content, adds 1 and is answered with the
// number so far. The body `save` also writes the number to `/data/count.txt`.
import { Failure, data, state, transcript } from "@skep/guest";

/** The key of the number, which is stored as decimal text. */
const KEY = "count";

function stored() {
  const text = state.getText(KEY) ?? "0";
  if (!/^\d+$/.test(text)) throw new Failure("bad-state", text);
  return Number(text);
}

export default {
  async handle(input) {
    const count = String(stored() + 1);
    state.set(KEY, count);
    transcript.emit("counted", count);
    if (new TextDecoder().decode(input.body) === "save") data.write("count.txt", `${count}\n`);
    return count;
  },
};
