// Policies and routes that the tests of bodies share.
import type { PolicySpec, RouteSpec } from "./engine.ts";
import type { RunningEnvoy } from "./envoy.ts";

/** What the policy `transform` does in one direction; its definition says the rest. */
export interface Work {
  readonly see?: string;
  readonly log?: boolean;
  readonly edit?: "none" | "append" | "upper" | "set" | "empty";
  readonly text?: string;
  readonly changes?: Readonly<Record<string, unknown>>;
  readonly denyAt?: number;
  readonly later?: boolean;
  readonly never?: boolean;
}

/** A step that reads bodies, decoded. */
export function transform(
  work: { readonly request?: Work; readonly response?: Work },
  more: Readonly<Record<string, unknown>> = {},
): PolicySpec {
  return { name: "transform", parameters: { ...work }, ...more };
}

export const onRequest = (work: Work): PolicySpec => transform({ request: work });
export const onResponse = (work: Work): PolicySpec => transform({ response: work });
export const tag = (label: string): PolicySpec => ({ name: "tag", parameters: { label } });
export const tagResponse = (label: string): PolicySpec => ({ name: "tag-response", parameters: { label } });

export function route(name: string, ...policies: PolicySpec[]): RouteSpec {
  return { route: name, policies };
}

/** How many messages Envoy has sent to the engine. */
export async function messagesSent(envoy: RunningEnvoy): Promise<number> {
  let sum = 0;
  for (const [name, value] of await envoy.stats("stream_msgs_sent")) {
    if (name.endsWith(".stream_msgs_sent")) sum += value;
  }
  return sum;
}
