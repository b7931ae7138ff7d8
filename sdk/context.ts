import type { Logger } from "./logger.ts";

/** Attributes that Envoy sent with the request, by name, such as `source.address`. */
export type Attributes = Readonly<Record<string, string | number | boolean>>;

/** Where the request came from, as Envoy's connection saw it, not what a header claims. */
export interface Client {
  /** The address without port; empty when Envoy was not told to send `source.address`. */
  readonly address: string;
  /** The port; 0 when unknown. */
  readonly port: number;
}

/** What the contexts of all hooks have in common. */
export interface ContextBase {
  /** `x-request-id` of the request, or an id of the engine's own making where there was none. */
  readonly requestId: string;
  /** The key of the route, as configured. */
  readonly route: string;
  /**
   * Values shared by all policies of the exchange, in both phases; the last writer wins. What a hook writes
   * becomes visible to others when the hook returns in time; writes of a failed hook are discarded.
   */
  readonly metadata: Map<string, unknown>;
  /** A log whose lines carry the request id, the policy and the route. */
  readonly log: Logger;
}

/**
 * How the policy chain's part of an exchange ended: `passed` to the end, `denied` by an answer, `failed` by a
 * fault, or `cancelled` because the client or Envoy went away.
 */
export type Outcome = "passed" | "denied" | "failed" | "cancelled";

/** What `onEnd` is told. */
export interface EndContext extends ContextBase {
  /** How it ended. */
  readonly outcome: Outcome;
  /** The reason code of a denial or a failure; empty when passed. */
  readonly reason: string;
}
