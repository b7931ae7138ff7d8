import type { Policy } from "@policy-engine/sdk";
import type { EngineLogger } from "../observability/log.ts";

/** A policy at its place in a chain, with everything about it that can be known before a request comes. */
export interface Step {
  /** Place in the list as configured, from 0. */
  readonly index: number;
  readonly name: string;
  readonly version: string;
  readonly policy: Policy;
  readonly appliesToDenials: boolean;
  readonly log: EngineLogger;
}

/** The policies of one route. Immutable: a change of configuration makes another chain. */
export interface Chain {
  readonly route: string;
  /** Every step, in list order. */
  readonly steps: readonly Step[];
  /** The steps with a request hook, in list order. */
  readonly request: readonly Step[];
  /** The steps with a response hook, in response order. */
  readonly response: readonly Step[];
}
