// Watches the policies of a chain from the outside, for `run`: hooks are wrapped, so that the executor has nothing
// to do for it.
import type { Policy, RequestContext, ResponseContext } from "@policy-engine/sdk";
import type { Exchange } from "../chain/executor.ts";
import type { HeaderTable } from "../chain/header-table.ts";
import type { PolicyInstance } from "../policy/instance.ts";
import { changesBetween, fromWire, type MessageChanges, type MessageState } from "./message-state.ts";

/** One run of a hook. */
export interface StepRecord {
  /** Place in the route's list, from 1. */
  readonly place: number;
  readonly name: string;
  readonly version: string;
  /** `denial`: the response hook, on an answer of the engine's own. */
  readonly phase: "request" | "response" | "denial";
  /** Whether it waited for the body. */
  readonly waited: boolean;
  readonly saw: MessageState;
  /** Set when it is over. */
  outcome: "passed" | "denied" | "failed" | "failed_open";
  changed: MessageChanges;
}

type Hook = "onRequest" | "onResponse";

/** Records what each hook of a chain sees, and what the message is like when it is over. */
export class StepRecorder {
  readonly steps: StepRecord[] = [];
  #exchange: Exchange | undefined;
  #open: StepRecord | undefined;
  #metadata: ReadonlyMap<string, unknown> = new Map();
  #waited = false;
  /** By place. */
  readonly #watched = new Map<number, Policy>();

  /** The same instance, recorded. */
  watch(instance: PolicyInstance, place: number): PolicyInstance {
    const { policy } = instance;
    const watched: Policy = {};
    this.#watched.set(place, watched);
    if (policy.onRequest !== undefined) {
      watched.onRequest = (ctx) => {
        this.#begin({ instance, place, hook: "onRequest" }, ctx);
        return policy.onRequest!(ctx);
      };
    }
    if (policy.onResponse !== undefined) {
      watched.onResponse = (ctx) => {
        this.#begin({ instance, place, hook: "onResponse" }, ctx);
        return policy.onResponse!(ctx);
      };
    }
    if (policy.onEnd !== undefined) watched.onEnd = (ctx) => policy.onEnd!(ctx);
    return { ...instance, policy: watched, close: () => instance.close() };
  }

  /** Takes the exchange that is about to begin. */
  follow(exchange: Exchange): void {
    this.#exchange = exchange;
  }

  /** Notes that the next hook had to wait for its body, which is here now. */
  bodyCame(): void {
    this.settle();
    this.#waited = true;
  }

  /** Notes what the last hook left, when its phase is over. */
  settle(): void {
    const step = this.#open;
    if (step === undefined) return;
    this.#open = undefined;
    if (step.phase !== "denial") step.outcome = this.#outcomeOf(step);
    step.changed = changesBetween(step.saw, this.#state(step.phase, null), {
      metadata: [this.#metadata, this.#exchange!.metadata],
    });
  }

  #outcomeOf({ place }: StepRecord): StepRecord["outcome"] {
    const { chain, denial } = this.#exchange!;
    const step = chain.steps.find(({ policy }) => policy === this.#watched.get(place))!;
    if (this.#exchange!.failedOpen(step)) return "failed_open";
    return denial?.decider === step ? denial.outcome : "passed";
  }

  #begin(
    { instance, place, hook }: { instance: PolicyInstance; place: number; hook: Hook },
    ctx: RequestContext | ResponseContext,
  ): void {
    this.settle();
    const { name, version } = instance.definition;
    const denied = "denied" in ctx && ctx.denied;
    const phase = hook === "onRequest" ? "request" : denied ? "denial" : "response";
    this.#metadata = this.#exchange!.metadata;
    const saw = this.#state(phase, ctx.body);
    const record = { place, name, version, phase, waited: this.#waited, saw } as const;
    this.#open = { ...record, outcome: "passed", changed: {} };
    this.steps.push(this.#open);
    this.#waited = false;
  }

  #state(phase: StepRecord["phase"], seen: Uint8Array | null): MessageState {
    const exchange = this.#exchange!;
    if (phase === "request") {
      const { method, path, authority, headers, body } = exchange.request;
      const pseudo = { method: fromWire(method), path: fromWire(path), authority: fromWire(authority) };
      return { ...pseudo, headers: entries(headers), body: body.content, seen };
    }
    const response = phase === "denial" ? exchange.denial!.response : exchange.response!;
    const { status, headers, body } = response;
    return { status, headers: entries(headers), body: body.content, seen };
  }
}

function entries(headers: HeaderTable): readonly (readonly [string, string])[] {
  return [...headers.entries()];
}
