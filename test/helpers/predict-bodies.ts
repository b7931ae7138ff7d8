// What the model says of an exchange with bodies: see body-exchanges.ts.
import type { ChainStep, Direction, ModelWork, RandomExchange, SentMessage } from "./body-exchanges.ts";
import { fingerprint } from "./upstream-reply.ts";

/** What is seen of a message at the end of its way. */
export interface SeenMessage {
  readonly trace: readonly string[];
  /** By header. */
  readonly saw: Readonly<Record<string, string>>;
  readonly body: Uint8Array;
  readonly coding: string | undefined;
  /** Undefined: not said. Envoy drops them where the status takes the body away. */
  readonly trailers: boolean | undefined;
}

export interface Prediction {
  /** What the upstream gets; undefined when nothing reaches it. */
  readonly upstream: (SeenMessage & { readonly method: string; readonly path: string }) | undefined;
  readonly status: number;
  /** What the client gets from the upstream; or how the body of a denial begins. */
  readonly response: SeenMessage | string;
  /** The header that the policy `on-denials` sets. */
  readonly denied: string | undefined;
}

interface Denial {
  readonly status: number;
  readonly body: string;
}

/** A message on its way. */
interface Message {
  readonly trace: string[];
  readonly saw: Record<string, string>;
  readonly trailed: boolean;
  byTrailers: boolean;
  hasBody: boolean;
  arrived: boolean;
  /** Whether a step waited for the body, and whether anything was changed since. */
  waited: boolean;
  changed: boolean;
  plain: Uint8Array;
  wire: Uint8Array;
  coding: string | undefined;
  /** What was appended to coded bytes cannot be decoded. */
  broken: boolean;
  replaced: boolean;
  method: string;
  path: string;
  status: number;
  readonly toHead: boolean;
}

/** Runs the model. */
export function predict(exchange: RandomExchange): Prediction {
  const { chain, method, path } = exchange;
  const request = { ...begin(exchange.request), method, path };
  // The HTTP/2 library puts an empty DATA frame before trailers, which Envoy takes for a body.
  if (exchange.http2) request.byTrailers = false;
  const order = chain.reversed ? chain.steps.toReversed() : chain.steps;
  const refused = runAll(chain.steps, { direction: "request", message: request, exchange });
  if (refused !== undefined) {
    const denied = order.some(({ kind }) => kind === "on-denials") ? "true" : undefined;
    return { upstream: undefined, status: refused.status, response: bodyOf(refused, exchange), denied };
  }
  const upstream = { ...seen(request), method: request.method, path: request.path };
  const response = {
    ...begin(exchange.response),
    status: exchange.response.status,
    toHead: method === "HEAD",
  };
  const replaced = runAll(order, { direction: "response", message: response, exchange });
  if (replaced !== undefined) {
    const { status, rest } = replaced;
    const denied = rest.some(({ kind }) => kind === "on-denials") ? "true" : undefined;
    return { upstream, status, response: bodyOf(replaced, exchange), denied };
  }
  const denied = order.some(({ kind }) => kind === "on-denials") ? "false" : undefined;
  return { upstream, status: response.status, response: seen(response), denied };
}

function begin({ framing, plain, wire, coding }: SentMessage): Message {
  const empty = plain.length === 0;
  return {
    trace: [],
    saw: {},
    hasBody: framing !== "none" && !(framing === "sized" && empty),
    trailed: framing === "trailed",
    byTrailers: framing === "trailed" && empty,
    arrived: false,
    waited: false,
    changed: false,
    plain,
    wire,
    coding,
    broken: false,
    replaced: false,
    method: "",
    path: "",
    status: 200,
    toHead: false,
  };
}

function seen(message: Message): SeenMessage {
  const { trace, saw, wire, coding, trailed } = message;
  return bodiless(message)
    ? { trace, saw, body: new Uint8Array(0), coding: undefined, trailers: undefined }
    : { trace, saw, body: wire, coding, trailers: trailed };
}

function bodyOf({ body }: Denial, { method }: RandomExchange): string {
  return method === "HEAD" ? "" : body;
}

function bodiless({ status, toHead }: Message): boolean {
  return toHead || status === 204 || status === 304;
}

interface Run {
  readonly direction: Direction;
  readonly message: Message;
  readonly exchange: RandomExchange;
}

/** Runs the steps of a direction; what is left of them stands beside a denial. */
function runAll(
  steps: readonly ChainStep[],
  run: Run,
): (Denial & { readonly rest: readonly ChainStep[] }) | undefined {
  for (const [index, step] of steps.entries()) {
    const denial = runStep(step, run);
    if (denial !== undefined) return { ...denial, rest: steps.slice(index + 1) };
  }
  const { direction, message } = run;
  if (!message.waited || !message.byTrailers || !message.changed) return undefined;
  return { status: direction === "request" ? 400 : 502, body: "change_too_late", rest: [] };
}

function runStep(step: ChainStep, { direction, message, exchange }: Run): Denial | undefined {
  switch (step.kind) {
    case "tag":
    case "tag-response": {
      if ((step.kind === "tag") !== (direction === "request")) return undefined;
      message.trace.push(step.label);
      message.changed = true;
      return undefined;
    }
    case "deny":
      return step.phase === direction && exchange.denied
        ? { status: step.status, body: "denied" }
        : undefined;
    case "throw":
      return direction === "request" && exchange.faulty ? { status: 500, body: "policy_failed" } : undefined;
    case "on-denials":
      if (direction === "response") message.changed = true;
      return undefined;
    case "raw": {
      if (!step.phases.includes(direction)) return undefined;
      arrive(message);
      message.saw[step.see] = String(message.wire.length);
      message.changed = true;
      if (step.append === "" || bodiless(message)) return undefined;
      message.wire = Buffer.concat([message.wire, Buffer.from(step.append, "hex")]);
      if (message.coding === undefined) message.plain = message.wire;
      else message.broken = true;
      message.replaced = true;
      return undefined;
    }
    case "transform": {
      const work = step[direction];
      return work === undefined ? undefined : runWork(work, message);
    }
  }
}

function runWork(work: ModelWork, message: Message): Denial | undefined {
  arrive(message);
  if (message.coding !== undefined && message.broken) return { status: 500, body: "policy_failed" };
  const { plain } = message;
  if (work.denyAt === plain.length) return { status: 403, body: `denied at ${plain.length}` };
  if (work.see !== undefined) {
    message.saw[work.see] = fingerprint(plain);
    message.changed = true;
  }
  if (work.status !== undefined && work.status !== message.status) {
    message.status = work.status;
    message.changed = true;
  }
  if (work.path !== undefined) {
    const path = `${work.path}?${message.path.split("?")[1]}`;
    if (path !== message.path) message.changed = true;
    message.path = path;
  }
  if (work.method !== undefined && work.method !== message.method) {
    message.method = work.method;
    message.changed = true;
  }
  const body = edited(work, plain);
  if (body === undefined || bodiless(message)) return undefined;
  // Nothing in the place of nothing is no change.
  if (body.length === 0 && message.wire.length === 0 && !message.replaced) return undefined;
  message.plain = body;
  message.wire = body;
  message.coding = undefined;
  message.replaced = true;
  message.changed = true;
  return undefined;
}

/** A step needs the body: it waits, or there is none. */
function arrive(message: Message): void {
  if (message.arrived) return;
  message.arrived = true;
  if (message.hasBody && !bodiless(message)) {
    message.waited = true;
    message.changed = false;
    return;
  }
  message.replaced = message.hasBody;
  message.plain = new Uint8Array(0);
  message.wire = message.plain;
  message.coding = undefined;
}

function edited({ edit, text }: ModelWork, plain: Uint8Array): Uint8Array | undefined {
  switch (edit) {
    case "none":
      return undefined;
    case "append":
      return Buffer.concat([plain, Buffer.from(text)]);
    case "upper":
      return plain.map((byte) => (byte >= 0x61 && byte <= 0x7a ? byte - 0x20 : byte));
    case "set":
      return Buffer.from(text);
    case "empty":
      return new Uint8Array(0);
  }
}
