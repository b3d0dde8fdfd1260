// The conformance guest in JavaScript. Its input is text `VERB ARGS`; guests in the other
// languages answer in the same way.
import { Failure } from "@skep/guest";
import { asyncVerbs } from "./waiting.js";
import { hostVerbs } from "./host.js";
import { lifecycle, lifecycleVerbs } from "./lifecycle.js";
import { mistakeVerbs } from "./mistakes.js";

const VERBS = { ...hostVerbs, ...asyncVerbs, ...lifecycleVerbs, ...mistakeVerbs };

export default {
  async handle(input) {
    if (!input.contentType.startsWith("text/plain")) return { contentType: input.contentType, body: input.body };
    const text = input.text();
    const space = text.indexOf(" ");
    const verb = space < 0 ? text : text.slice(0, space);
    if (!Object.hasOwn(VERBS, verb)) throw new Failure("bad-request", `unknown verb ${verb}`);
    return VERBS[verb](space < 0 ? "" : text.slice(space + 1));
  },

  ...lifecycle,
};
