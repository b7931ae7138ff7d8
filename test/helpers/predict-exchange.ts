// A simple model of what a chain does with an exchange. It knows nothing of the kernel: lists, loops, and the
// rules of the order of execution. That Envoy sends a message in parts is no part of it, but where the rules say so.
import type { ModelExchange, ModelMessage, ModelStep } from "./exchange-model.ts";
import { ModelSide, type Refusal, type Sent, UNKNOWN } from "./model-side.ts";

/** What is to be seen from outside after an exchange. */
export interface Trace {
  /** Hooks that ran, in order, with the body that each asked for: `q0`, `s1(text)`, `d1` (on a denial). */
  readonly ran: string[];
  denied: Refusal | undefined;
  /** What the upstream gets. */
  request: Sent;
  /** What the client gets. */
  response: Sent;
}

/** What the model says of an exchange whose messages all come in order. */
export function predict(steps: readonly ModelStep[], exchange: ModelExchange): Trace {
  const memory = { left: exchange.bodyMemory };
  const request = new ModelSide("request", exchange, memory);
  const response = new ModelSide("response", exchange, memory);
  const ran: string[] = [];
  const order = steps.map((_, place) => place);
  const responseOrder = exchange.reversed ? [...order].reverse() : order;
  /** Steps of the response that had their turn. */
  const passed = new Set<number>();

  const walk = (side: ModelSide, places: readonly number[]): Refusal | undefined => {
    for (const place of places) {
      const step = steps[place]!;
      const hook = step[side.direction];
      if (hook === undefined) continue;
      const obstacle = side.provide(hook.need, step.onUnbufferable);
      if (typeof obstacle === "object") return obstacle;
      if (side === response) passed.add(place);
      if (obstacle === "skip") continue;
      const note = side === request ? "q" : "s";
      const again = side === request ? "" : request.shownAgain(step.request?.need ?? "none");
      ran.push(`${note}${place}${side.shown(hook.need)}${again}`);
      const refusal = side.perform(hook);
      if (refusal !== undefined) return refusal;
    }
    return side.isTooLate() ? side.refuse("change_too_late") : undefined;
  };

  let denied = walk(request, order);
  if (denied === undefined && steps.some((step) => step.response !== undefined)) {
    // A response hook may look at the request's body again.
    const isKept = steps.some(({ response: hook, request: own }) => hook && own && own.need !== "none");
    if (!isKept) request.giveBack();
    denied = walk(response, responseOrder);
  }
  if (denied === undefined) return { ran, denied, request: request.sent(), response: response.sent() };

  const answer = new ModelSide(
    "response",
    { ...exchange, status: denied.status, response: OWN_ANSWER },
    memory,
  );
  for (const place of responseOrder) {
    const { response: hook, appliesToDenials } = steps[place]!;
    if (hook === undefined || !appliesToDenials || passed.has(place)) continue;
    ran.push(`d${place}`);
    answer.perform(hook);
  }
  return { ran, denied, request: request.sent(), response: answer.sent() };
}

/** Made by the engine: what stands in it is not the model's affair. */
const OWN_ANSWER: ModelMessage = { lines: [], shape: "data", content: UNKNOWN, unbufferable: false };
