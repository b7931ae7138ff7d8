// A thousand routes of ten policies, and what a request on each of them must show.
import type { PolicySpec, RouteSpec } from "../helpers/engine.ts";
import type { ClientResponse } from "../helpers/http.ts";
import { actsOnResponse, POLICIES, policyName, traceLine, VERSIONS } from "./scale-policies.ts";

export const ROUTES = 1_000;

interface Step {
  readonly policy: number;
  /** Index into the versions. */
  readonly version: number;
  readonly label: string;
}

export function routeName(route: number): string {
  return `route-${route}`;
}

/** A route's steps: each policy once, in an order and with versions that differ from route to route. */
function stepsOf(route: number, revision: string): Step[] {
  return Array.from({ length: POLICIES }, (_, place) => ({
    policy: (route + place * (route % 2 === 0 ? 3 : 7)) % POLICIES,
    version: (Math.floor(route / POLICIES) + place) % VERSIONS.length,
    label: `${revision}-${route}-${place}`,
  }));
}

/** A route as it is configured; `revision` is part of every label. */
export function scaleRoute(route: number, revision = "first"): RouteSpec {
  const policies = stepsOf(route, revision).map(
    ({ policy, version, label }): PolicySpec => ({
      name: policyName(policy),
      version: writtenVersion(route, version),
      parameters: { label },
    }),
  );
  return { route: routeName(route), policies };
}

export function scaleRoutes(count = ROUTES): RouteSpec[] {
  return Array.from({ length: count }, (_, route) => scaleRoute(route));
}

/** Every third route names a major version where that comes to the same. */
function writtenVersion(route: number, version: number): string {
  const exact = VERSIONS[version]!;
  const major = exact.split(".")[0]!;
  const highest = VERSIONS.findLast((other) => other.startsWith(`${major}.`));
  return route % 3 === 0 && exact === highest ? major : exact;
}

/** What `x-trace` must be, in both directions. */
export interface Traces {
  readonly request: readonly string[];
  readonly response: readonly string[];
}

export function expectedTraces(route: number, revision = "first"): Traces {
  const steps = stepsOf(route, revision);
  const line = ({ policy, version, label }: Step): string =>
    traceLine(policyName(policy), { version: VERSIONS[version]!, label });
  return {
    request: steps.map(line),
    response: steps.filter(({ policy, version }) => actsOnResponse(policy, version)).map(line),
  };
}

export function tracesOf(response: ClientResponse): Traces | { readonly status: number } {
  if (response.status !== 200) return { status: response.status };
  return { request: response.echo().headerValues("x-trace"), response: response.headerValues("x-trace") };
}
