// A simple model of what a chain does with an exchange. It knows nothing of the kernel: lists, loops, and the
// rules of the order of execution. That Envoy sends a message in parts is no part of it, but where the rules say so.
import {
  type Act,
  type Direction,
  type Lines,
  type ModelExchange,
  type ModelHook,
  type ModelMessage,
  type ModelStep,
  PACKED,
} from "./exchange-model.ts";

/** What is to be seen from outside after an exchange. */
export interface Trace {
  /** Hooks that ran, in order, with the body that each asked for: `q0`, `s1(text)`, `d1` (on a denial). */
  readonly ran: string[];
  denied: Refusal | undefined;
  /** What the upstream gets. */
  request: Sent;
  /** What the client gets; of a denial, the body only where a policy put it in place. */
  response: Sent;
}

export interface Refusal {
  status: number;
  readonly reason: string;
}

export interface Sent {
  lines: Lines;
  body: string | undefined;
  /** The path of a request, the status of a response. */
  start: string;
}

/** What the model says of an exchange whose messages all come in order. */
export function predict(steps: readonly ModelStep[], exchange: ModelExchange): Trace {
  const request = new Side("request", exchange);
  const response = new Side("response", exchange);
  const ran: string[] = [];
  const order = steps.map((_, index) => index);
  const responseOrder = exchange.reversed ? [...order].reverse() : order;
  const done = new Set<number>();

  const walk = (side: Side, places: readonly number[]): Refusal | undefined => {
    for (const place of places) {
      const hook = steps[place]![side.direction];
      if (hook === undefined) continue;
      const obstacle = side.provide(hook, steps[place]!);
      if (obstacle === "skip") done.add(place);
      if (obstacle === "skip") continue;
      if (obstacle !== undefined) return obstacle;
      ran.push(`${side.direction === "request" ? "q" : "s"}${place}${side.shown(hook)}`);
      if (side.direction === "response") done.add(place);
      const refusal = side.perform(hook);
      if (refusal !== undefined) return refusal;
    }
    return side.tooLate() ? refuse(side.direction, "change_too_late") : undefined;
  };

  let denied = walk(request, order);
  if (denied === undefined) request.giveBack();
  // A response that is not looked at goes by.
  const looksAtResponse = steps.some((step) => step.response !== undefined);
  response.memoryInUse = request.keeps(steps) ? request.taken : 0;
  if (denied === undefined && looksAtResponse) denied = walk(response, responseOrder);
  if (denied === undefined) return { ran, denied, request: request.sent(), response: response.sent() };

  const dress = new Side("response", { ...exchange, status: denied.status, response: NO_MESSAGE });
  dress.known = false;
  for (const place of responseOrder) {
    const step = steps[place]!;
    const skipped = done.has(place) && !ran.some((hook) => hook.startsWith(`s${place}`));
    if (step.response === undefined || !step.appliesToDenials) continue;
    if (ran.some((hook) => new RegExp(`^s${place}(?:\\(|$)`).test(hook))) continue;
    if (skipped && step.request === undefined) continue;
    ran.push(`d${place}`);
    dress.perform(step.response);
  }
  return {
    ran,
    denied: { ...denied, status: dress.status },
    request: request.sent(),
    response: dress.sent(),
  };
}
