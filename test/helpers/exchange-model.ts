// A simple model of what a chain does with an exchange, and a generator of chains and message sequences for it.
// It knows nothing of the kernel: lists, loops, and the rules of the order of execution.
import { type Policy, type RequestChanges, type ResponseChanges, respond } from "@policy-engine/sdk";
import type { MessageKind } from "../../runtime/kernel/phases.ts";
import type { TestStep } from "./kernel.ts";

/** What one hook of a model step does. */
export type Act =
  | { readonly kind: "nothing" }
  | { readonly kind: "set" | "append" | "absent" | "remove"; readonly header: string; readonly value: string }
  | { readonly kind: "deny"; readonly status: number }
  | { readonly kind: "throw" };

/** One step: its hooks, and whether each takes its time. */
export interface ModelStep {
  readonly request?: { readonly act: Act; readonly async: boolean };
  readonly response?: { readonly act: Act; readonly async: boolean };
  readonly appliesToDenials: boolean;
}

/** What is to be seen from outside after an exchange. */
export interface Trace {
  /** Hooks that ran, in order: `q0`, `s1`, `d1` (on a denial). */
  readonly ran: string[];
  /** The status of the denial, if it was denied. */
  denied: number | undefined;
  /** The lines that the upstream gets, and that the client gets. */
  readonly request: [string, string][];
  readonly response: [string, string][];
}

/** A random number generator that a seed repeats (mulberry32). */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed | 0;
  }

  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  }

  below(limit: number): number {
    return Math.floor(this.next() * limit);
  }

  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)]!;
  }

  chance(probability: number): boolean {
    return this.next() < probability;
  }
}

const HEADERS = ["x-a", "x-b", "set-cookie"] as const;

function randomAct(random: Random): Act {
  const dice = random.next();
  if (dice < 0.06) return { kind: "deny", status: random.pick([401, 403, 429]) };
  if (dice < 0.1) return { kind: "throw" };
  if (dice < 0.2) return { kind: "nothing" };
  const kind = random.pick(["set", "append", "absent", "remove"] as const);
  return { kind, header: random.pick(HEADERS), value: String(random.below(100)) };
}

/** A chain of up to six steps. */
export function randomSteps(random: Random): ModelStep[] {
  return Array.from({ length: random.below(7) }, () => {
    const phases = random.pick(["request", "response", "both"] as const);
    const hook = () => ({ act: randomAct(random), async: random.chance(0.3) });
    return {
      ...(phases !== "response" && { request: hook() }),
      ...(phases !== "request" && { response: hook() }),
      appliesToDenials: random.chance(0.3),
    };
  });
}

/** Up to three lines of each header. */
export function randomHeaders(random: Random): [string, string][] {
  return HEADERS.flatMap((name) =>
    Array.from({ length: random.below(3) }, (): [string, string] => [name, `in${random.below(10)}`]),
  );
}

/** What the model says of an exchange whose messages all come in order. */
export function predict(
  steps: readonly ModelStep[],
  options: { reversed: boolean; request: [string, string][]; response: [string, string][] },
): Trace {
  const trace: Trace = {
    ran: [],
    denied: undefined,
    request: [...options.request],
    response: [...options.response],
  };
  const order = steps.map((_, index) => index);
  const responseOrder = options.reversed ? [...order].reverse() : order;
  const responded = new Set<number>();

  const run = (act: Act, lines: [string, string][]): number | undefined => {
    if (act.kind === "deny") return act.status;
    if (act.kind === "throw") return 500;
    applyAct(act, lines);
    return undefined;
  };

  for (const index of order) {
    const hook = steps[index]?.request;
    if (hook === undefined || trace.denied !== undefined) continue;
    trace.ran.push(`q${index}`);
    trace.denied = run(hook.act, trace.request);
  }
  for (const index of responseOrder) {
    const hook = steps[index]?.response;
    if (hook === undefined || trace.denied !== undefined) continue;
    trace.ran.push(`s${index}`);
    responded.add(index);
    trace.denied = run(hook.act, trace.response);
  }
  if (trace.denied !== undefined) {
    trace.response.length = 0;
    // A failure's answer has a body, and so a type.
    for (const index of responseOrder) {
      const step = steps[index];
      if (step?.response === undefined || !step.appliesToDenials || responded.has(index)) continue;
      trace.ran.push(`d${index}`);
      run(step.response.act, trace.response);
    }
  }
  return trace;
}

/** The model's own reading of the four ways to change a header. */
export function applyAct(act: Act, lines: [string, string][]): void {
  if (act.kind === "nothing" || act.kind === "deny" || act.kind === "throw") return;
  const { kind, header, value } = act;
  const present = lines.some(([name]) => name === header);
  if (kind === "absent" && present) return;
  if (kind === "set" || kind === "remove") {
    for (let at = lines.length - 1; at >= 0; at--) if (lines[at]![0] === header) lines.splice(at, 1);
  }
  if (kind !== "remove") lines.push([header, value]);
}

/** The same steps as policies, which note in `ran` what runs. */
export function toPolicies(steps: readonly ModelStep[], ran: string[]): TestStep[] {
  return steps.map(({ request, response, appliesToDenials }, index) => {
    const policy: Policy = {
      ...(request && {
        onRequest: () => {
          ran.push(`q${index}`);
          return later(request.async, () => perform(request.act));
        },
      }),
      ...(response && {
        onResponse: (ctx) => {
          ran.push(`${ctx.denied ? "d" : "s"}${index}`);
          return later(response.async, () => perform(response.act));
        },
      }),
    };
    return { policy, appliesToDenials };
  });
}

function later<T>(async: boolean, make: () => T): T | Promise<T> {
  return async ? Promise.resolve().then(make) : make();
}

function perform(
  act: Act,
): ReturnType<typeof respond> | (RequestChanges & ResponseChanges & { status?: never }) | undefined {
  switch (act.kind) {
    case "nothing":
      return undefined;
    case "throw":
      throw new Error("a policy's fault");
    case "deny":
      return respond(act.status);
    case "set":
      return { setHeaders: { [act.header]: act.value } };
    case "append":
      return { appendHeaders: { [act.header]: act.value } };
    case "absent":
      return { addHeadersIfAbsent: { [act.header]: act.value } };
    case "remove":
      return { removeHeaders: [act.header] };
  }
}

/** Every message there is, for sequences that no Envoy would send. */
export const KINDS: readonly MessageKind[] = [
  "request_headers",
  "request_body",
  "request_trailers",
  "response_headers",
  "response_body",
  "response_trailers",
];
