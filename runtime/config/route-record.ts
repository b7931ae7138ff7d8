import type { PlannedRoute } from "./plan-policies.ts";
import type { RouteLimits } from "./route-limits.ts";
import type { SharedInstance } from "./shared-instance.ts";
import type { RouteState } from "./snapshot.ts";

/** What the store knows of a route that is configured. */
export interface RouteRecord {
  readonly route: string;
  /** The file that it comes from. */
  readonly source: string;
  /** Whether what is configured now is what the chain was made from. */
  readonly current: boolean;
  readonly state: RouteState;
  /** What the chain was made from; undefined while the route was never valid. */
  readonly plan: PlannedRoute | undefined;
  /** The chain's instances in list order. */
  readonly instances: readonly SharedInstance[];
}

/**
 * How a route stands: `active` serves what is configured, `last-good` serves what was configured before, because
 * of errors, and `unavailable` was never valid and answers 503.
 */
export type RouteStatus = "active" | "last-good" | "unavailable";

export function statusOf({ state, current }: RouteRecord): RouteStatus {
  if (state.kind === "unavailable") return "unavailable";
  return current ? "active" : "last-good";
}

/** A route as people may see it: secrets are redacted. */
export interface RouteDump {
  readonly route: string;
  readonly source: string;
  readonly status: RouteStatus;
  readonly responseOrder?: "listed" | "reversed";
  readonly metadata?: Readonly<Record<string, string>>;
  /** What the route lowers, in bytes. */
  readonly limits?: RouteLimits;
  readonly policies?: readonly PolicyDump[];
}

export interface PolicyDump {
  readonly name: string;
  /** The version that runs. */
  readonly version: string;
  /** The version as configured, where that is another, such as `v1`. */
  readonly requestedVersion?: string;
  readonly enabled: boolean;
  /** Where the route says it. */
  readonly onUnbufferable?: "deny" | "skip";
  readonly parameters: unknown;
}

/** The configuration that a route serves, for the admin server. */
export function dumpRoute(record: RouteRecord): RouteDump {
  const { route, source, plan } = record;
  const head = { route, source, status: statusOf(record) };
  if (plan === undefined) return head;
  const { responseOrder, metadata, limits } = plan.resource;
  const policies = plan.policies.map(({ reference, policy }): PolicyDump => {
    const { name, version } = policy.definition;
    const requested = reference.version === version ? {} : { requestedVersion: reference.version };
    const parameters = policy.parameters.redact(reference.parameters);
    const { enabled, onUnbufferable } = reference;
    return { name, version, ...requested, enabled, ...(onUnbufferable && { onUnbufferable }), parameters };
  });
  const lowered = limits.bodyBytes === undefined ? {} : { limits };
  return { ...head, responseOrder, metadata, ...lowered, policies };
}
