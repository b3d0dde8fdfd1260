// Does what the path says, `/COMMAND/ARGUMENT`, for the tests that compare the guest SDKs. The guests of
// all languages behave alike.
import { Failure, config, context, state, transcript } from "@skep/guest";

let handled = 0;

function text(body, status = 200) {
  return new Response(body, { status, headers: { "content-type": "text/plain; charset=utf-8" } });
}

function add(key) {
  const number = Number(state.getText(key) ?? "0") + 1;
  state.set(key, String(number));
  return number;
}

const COMMANDS = {
  hello: () => text("hello\n"),
  echo: async (_, request) => new Response(await request.arrayBuffer(), { headers: { "content-type": request.headers.get("content-type") } }),

  target(_, request) {
    const { protocol, host, pathname, search } = new URL(request.url);
    return text(`${request.method} ${protocol.slice(0, -1)} ${host} ${pathname}${search}\n`);
  },

  "header-of": (name, request) => text(request.headers.get(name) ?? ""),
  query: (name, request) => text(new URL(request.url).searchParams.get(name) ?? ""),
  count: () => text(`${handled}\n`),
  status: (number) => text("as you wish\n", Number(number)),
  header: async (name, request) => new Response("set\n", { headers: { [name]: await request.text() } }),
  bytes: (number) => new Response(new Uint8Array(Number(number))),

  fail(word) {
    throw new Failure("asked", `the guest's own words: ${word}`);
  },

  throw(word) {
    throw new TypeError(word);
  },

  async sleep(ms) {
    await new Promise((resolve) => setTimeout(resolve, Number(ms)));
    return text("awake\n");
  },

  spin() {
    for (;;);
  },

  add: (key) => text(`${add(key)}\n`),

  "add-and-fail"(key) {
    add(key);
    throw new Failure("asked", "after the change");
  },

  get: (key) => text(state.getText(key) ?? ""),
  config: (key) => text(config.get(key) ?? ""),
  context: () => text(`${context.inputId ?? "-"}\n`),

  emit(word) {
    transcript.emit("visited", word);
    return text("emitted\n");
  },
};

export default {
  async fetch(request) {
    handled += 1;
    const [, command, ...rest] = new URL(request.url).pathname.split("/");
    if (!Object.hasOwn(COMMANDS, command)) return text("no such command\n", 404);
    return COMMANDS[command](decodeURIComponent(rest.join("/")), request);
  },
};
