import type { Problem } from "../document/problem.ts";
import { formatQuantity, LIMITS } from "./engine-config-schema.ts";
import { parseSize } from "./quantity.ts";
import type { RouteReporter } from "./route-resource.ts";

/** `limits` of a route: what it lowers of the engine's. */
export interface RouteLimits {
  /**
   * `limits.bodyBytes`: largest body of one request or response on this route, as it came and decoded.
   * Default: the engine's `limits.bodyBytes`, which is also the most. Limit: from 1KiB.
   */
  readonly bodyBytes?: number;
}

/** The shape of {@link RouteLimits} in a file; whether the values fit is for {@link checkRouteLimits}. */
export const ROUTE_LIMITS_SCHEMA = {
  type: "object",
  additionalProperties: false,
  properties: {
    bodyBytes: {
      type: ["string", "integer"],
      minimum: 0,
      maximum: Number.MAX_SAFE_INTEGER,
      pattern: "^[0-9]{1,15}(?:B|KiB|MiB|GiB)?$",
      errorMessage: 'Must be a size such as "64KiB" or "1MiB"',
    },
  },
} as const;

/** The limits from a value that fits {@link ROUTE_LIMITS_SCHEMA}. */
export function toRouteLimits({ bodyBytes }: { readonly bodyBytes?: unknown }): RouteLimits {
  // What is too large for a number is too large for the engine's limit.
  return bodyBytes === undefined ? {} : { bodyBytes: parseSize(bodyBytes) ?? Number.MAX_SAFE_INTEGER };
}

/** What is wrong with the limits of a route. */
export function checkRouteLimits(
  { bodyBytes }: RouteLimits,
  { engine, report }: { readonly engine: { readonly bodyBytes: number }; readonly report: RouteReporter },
): Problem[] {
  if (bodyBytes === undefined) return [];
  const bounds = LIMITS.bodyBytes;
  if (bodyBytes >= bounds.least && bodyBytes <= engine.bodyBytes) return [];
  const [from, to] = [bounds.least, engine.bodyBytes].map((bytes) => formatQuantity(bytes, bounds));
  const message = `"limits.bodyBytes" must be from ${from} to ${to}`;
  const hint = 'A route may only lower "limits.bodyBytes" of the engine\'s configuration';
  return [report("/limits/bodyBytes", message, { hint })];
}
