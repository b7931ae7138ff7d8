import type { Policy, RequestContext, ResponseContext } from "@policy-engine/sdk";
import type { EngineLogger } from "../observability/log.ts";
import type { Counter, Histogram } from "../observability/metrics.ts";
import type { BodyNeed } from "./message-body.ts";

/** A policy at its place in a chain, with everything about it that can be known before a request comes. */
export interface Step {
  /** Place in the list as configured, from 0. */
  readonly index: number;
  readonly name: string;
  readonly version: string;
  readonly policy: Policy;
  readonly appliesToDenials: boolean;
  /** What its failure does: ends the exchange, or leaves the step out. */
  readonly failureMode: "closed" | "open";
  /** How long one of its hooks may take if it is asynchronous, in milliseconds. */
  readonly timeoutMs: number;
  readonly requestBody: BodyNeed;
  readonly responseBody: BodyNeed;
  /** What to do where its body cannot be buffered: refuse the exchange, or leave the step out. */
  readonly onUnbufferable: "deny" | "skip";
  /** Undefined: it always runs. */
  readonly condition: StepCondition | undefined;
  readonly conditionError: "skip" | "deny";
  readonly log: EngineLogger;
  readonly metrics: StepMetrics;
}

/** Decides whether a step runs. One that reads the response decides in the response phase, others in the first. */
export interface StepCondition {
  readonly source: string;
  readonly reads: {
    readonly requestBody: boolean;
    readonly response: boolean;
    readonly responseBody: boolean;
  };
  /** @throws If it cannot be evaluated. */
  evaluate(context: RequestContext | ResponseContext): boolean;
}

/** The counters of a step, looked up once. */
export interface StepMetrics {
  readonly passed: Counter;
  readonly denied: Counter;
  readonly failed: Counter;
  readonly duration: Histogram;
  /** `policy_worker_policy_failures_total` for a reason. */
  failure(reason: string): Counter;
}

/** The policies of one route. Immutable: a change of configuration makes another chain. */
export interface Chain {
  readonly route: string;
  /** The operator's metadata of engine and route, under what policies write. */
  readonly metadata: ReadonlyMap<string, unknown>;
  /** The largest body of this route, in bytes; the engine's limit holds beside it. */
  readonly bodyBytes: number;
  /** Every step, in list order. */
  readonly steps: readonly Step[];
  /** The steps with a request hook, in list order. */
  readonly request: readonly Step[];
  /** Whether a response hook looks at the request's body again. */
  readonly keepsRequestBody: boolean;
  /** The steps with a response hook, in response order. */
  readonly response: readonly Step[];
}
