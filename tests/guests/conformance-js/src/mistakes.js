// Verbs that go wrong on purpose.
import { Failure } from "@skep/guest";

export const mistakeVerbs = {
  throw(text) {
    throw new TypeError(text);
  },

  trap() {
    throw new Failure("unsupported", "JavaScript has no trap: a recursion without end is an exception");
  },

  recurse() {
    return mistakeVerbs.recurse() + 1;
  },

  spin() {
    for (;;);
  },
};
