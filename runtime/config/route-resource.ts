import type { Problem } from "../document/problem.ts";
import { type CompiledSchema, compileSchema } from "../document/schema.ts";
import type { ProblemOptions } from "../document/yaml-document.ts";
import { MAX_ROUTE_NAME, METADATA_SCHEMA } from "./engine-config-schema.ts";
import { ROUTE_LIMITS_SCHEMA, type RouteLimits, toRouteLimits } from "./route-limits.ts";

/** One route as it is configured, whether from a file or from a control plane. Its shape has been checked. */
export interface RouteResource {
  /** `route`: Envoy's name of the route, or the key found in metadata. Limit: 1 to 1,024 characters. */
  readonly route: string;
  /**
   * `responseOrder`: `listed` runs the response hooks in the order of the list, `reversed` from its end.
   * Default: `listed`.
   */
  readonly responseOrder: "listed" | "reversed";
  /**
   * `metadata`: facts about the route for policies and conditions, over those of the engine; strings only.
   * Default: none. Limit: 64 entries, 4,096 characters each.
   */
  readonly metadata: Readonly<Record<string, string>>;
  /** `limits`: what the route lowers of the engine's limits. Default: nothing. */
  readonly limits: RouteLimits;
  /**
   * `policies`: what runs, in this order. Required; an empty list lets every request pass.
   * Limit: `limits.policiesPerRoute`.
   */
  readonly policies: readonly PolicyReference[];
}

/** One policy of a route's list. */
export interface PolicyReference {
  /** `name`: the policy's name in its definition. Required. */
  readonly name: string;
  /** `version`: such as `v1.2.0`, or `v1` for the highest v1 in the executable. Required. */
  readonly version: string;
  /** `enabled`: false keeps the policy in the list without running it; it is still checked. Default: true. */
  readonly enabled: boolean;
  /**
   * `executionCondition`: a CEL expression; the policy runs where it is true. It is evaluated once, at the policy's
   * request step, or in the response if it reads `response`. Limit: 8 KiB.
   */
  readonly executionCondition: string | undefined;
  /** `parameters`: what the policy's definition asks for. Default: none. */
  readonly parameters: Readonly<Record<string, unknown>>;
  /**
   * `failureMode`: what a failure of the policy does: `closed` answers 500, `open` leaves the policy out. Default:
   * the definition's.
   */
  readonly failureMode: "closed" | "open" | undefined;
  /**
   * `conditionError`: what to do where the condition cannot be evaluated: `skip` leaves the policy out, `deny`
   * answers 500. Default: the definition's. Without a condition it means nothing.
   */
  readonly conditionError: "skip" | "deny" | undefined;
  /**
   * `onUnbufferable`: what to do where the policy needs a body that cannot be waited for (an upgrade, CONNECT,
   * server-sent events, gRPC): `deny` answers 501 for a request and 502 for a response, `skip` leaves the policy
   * out. Default: `deny`.
   */
  readonly onUnbufferable: "deny" | "skip" | undefined;
  /**
   * `timeout`: how long an asynchronous hook of the policy may take, such as `250ms`; then it has failed. Default:
   * what is left of the message's time, which also bounds it. Limit: 1ms to 1h.
   */
  readonly timeout: string | undefined;
}

/** Makes a problem at a JSON pointer within one route. */
export type RouteReporter = (pointer: string, message: string, options?: ProblemOptions) => Problem;

/** The shape of one entry of `routes`. */
export function routeSchema(): CompiledSchema {
  const reference = {
    type: "object",
    additionalProperties: false,
    required: ["name", "version"],
    properties: {
      name: { type: "string", minLength: 1, maxLength: 256 },
      version: {
        type: "string",
        pattern: "^v[0-9]{1,9}(?:\\.[0-9]{1,9}\\.[0-9]{1,9}(?:-[0-9A-Za-z.-]{1,64})?)?$",
        errorMessage: 'Must be a version such as "v1.2.0", or "v1" for the highest v1',
      },
      enabled: { type: "boolean" },
      executionCondition: { type: "string", minLength: 1, maxLength: 8_192 },
      parameters: { type: "object" },
      failureMode: { enum: ["closed", "open"] },
      conditionError: { enum: ["skip", "deny"] },
      onUnbufferable: { enum: ["deny", "skip"] },
      timeout: {
        type: "string",
        pattern: "^[0-9]{1,9}(?:\\.[0-9]{1,3})?(?:ms|s|m|h)$",
        errorMessage: 'Must be a duration such as "250ms" or "1.5s"',
      },
    },
  };
  const { schema, problems } = compileSchema({
    type: "object",
    additionalProperties: false,
    required: ["route", "policies"],
    properties: {
      route: {
        type: "string",
        minLength: 1,
        maxLength: MAX_ROUTE_NAME,
      },
      responseOrder: { enum: ["listed", "reversed"] },
      metadata: METADATA_SCHEMA,
      limits: ROUTE_LIMITS_SCHEMA,
      policies: { type: "array", items: reference },
    },
  });
  if (schema === undefined)
    throw new TypeError(`Cannot compile the schema of routes: ${problems.join("; ")}`);
  return schema;
}

/** A resource from a value that fits {@link routeSchema}, with its defaults filled in. */
export function toRouteResource(value: unknown): RouteResource {
  const { route, responseOrder = "listed", metadata = {}, limits = {}, policies } = value as RouteResource;
  return {
    route,
    responseOrder,
    metadata,
    limits: toRouteLimits(limits),
    policies: policies.map(toPolicyReference),
  };
}

/** A reference from a value that fits its part of {@link routeSchema}, with its defaults filled in. */
export function toPolicyReference(value: Partial<PolicyReference>): PolicyReference {
  return {
    name: value.name!,
    version: value.version!,
    enabled: value.enabled ?? true,
    executionCondition: value.executionCondition,
    parameters: value.parameters ?? {},
    failureMode: value.failureMode,
    conditionError: value.conditionError,
    onUnbufferable: value.onUnbufferable,
    timeout: value.timeout,
  };
}
