// Uses of the SDK that tsc has to accept, and some that it has to refuse.
import { Failure, config, context, data, defineWorker, state, transcript, type Input, type WebWorker, type Worker } from "@skep/guest";
import { connected, double, respond, send } from "@skep/guest/testing";

interface Order {
  id: number;
}

const worker = defineWorker({
  async handle(input) {
    const order = input.json<Order>();
    if (order.id < 0) throw new Failure("bad-request", "the id is negative");
    state.setJson("order", order);
    const last: Order | undefined = state.getJson<Order>("order");
    transcript.emit("ordered", { id: last?.id });
    data.write("last.txt", new Uint8Array([1]));
    return { contentType: "text/plain", body: `${context.attempt} ${config.get("a") ?? "-"}` };
  },
  connected(reason) {
    const known: "created" | "input" | "restart" | "update" = reason;
    console.log(known);
  },
});

export const typed: Worker = { handle: (input: Input) => input.body };

export const web: WebWorker = { fetch: async (request) => new Response(await request.text(), { status: 201 }) };
export const defined = defineWorker({ fetch: (request) => Response.json({ url: request.url }) });

// @ts-expect-error fetch returns no response
export const silent: WebWorker = { fetch: () => "text" };
// @ts-expect-error handle is missing
export const missing: Worker = {};
// @ts-expect-error handle returns nothing
export const nothing: Worker = { handle: (): void => {} };
// @ts-expect-error a value of the state is text or bytes
state.set("key", 3);

await connected(worker, "created");
const answer = await send(worker, { id: 1 });
const text: string = answer.text();
double.config = { a: text };
const response: Response = await respond(web, "/", { method: "POST", body: text });
double.config = { b: await response.text() };
export default worker;
