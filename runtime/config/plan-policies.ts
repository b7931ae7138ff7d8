import { type Condition, compileCondition } from "../cel/compile-condition.ts";
import type { StepSettings } from "../chain/compile.ts";
import type { Problem } from "../document/problem.ts";
import { scrubber } from "../observability/scrub.ts";
import type { PolicyDefinition } from "../policy/definition.ts";
import type { SecretReader } from "../policy/parameters.ts";
import { reasonOf } from "../policy/reason.ts";
import type { PolicyRegistry, RegisteredPolicy } from "../policy/registry.ts";
import { formatDuration, parseDuration } from "./quantity.ts";
import type { PolicyReference, RouteReporter, RouteResource } from "./route-resource.ts";

/** What a plan is checked against. */
export interface PlanContext {
  readonly registry: PolicyRegistry;
  readonly secrets: SecretReader;
  /** `limits.policiesPerRoute`. */
  readonly policiesPerRoute: number;
  readonly report: RouteReporter;
}

/** A route of which everything has been checked that can be checked without creating its policies. */
export interface PlannedRoute {
  readonly resource: RouteResource;
  /** Every policy of the list, also those that are not enabled. */
  readonly policies: readonly PlannedPolicy[];
  /** Whether a secret was read from a file or a variable, so that the same text can mean something else later. */
  readonly readsSecrets: boolean;
}

/** One policy of a route's list, found in the executable, with its parameters checked. */
export interface PlannedPolicy {
  /** Place in the route's list, from 0. */
  readonly index: number;
  readonly reference: PolicyReference;
  readonly policy: RegisteredPolicy;
  /** Filled with defaults, with the values of secrets, frozen. */
  readonly params: unknown;
  /** Undefined: the policy always runs. */
  readonly condition: Condition | undefined;
}

/** What a chain is told of a policy beside the instance: what the route says of it. */
export function handlingOf({ reference, condition }: PlannedPolicy): Omit<StepSettings, "instance"> {
  const { onUnbufferable, conditionError, failureMode, timeout } = reference;
  return { onUnbufferable, condition, conditionError, failureMode, timeoutMs: parseDuration(timeout) };
}

/** Checks policies of a route, by their place, against those of the executable; collects every problem. */
export function planPolicies(
  references: ReadonlyMap<number, PolicyReference>,
  context: PlanContext,
): { readonly policies: readonly PlannedPolicy[]; readonly problems: readonly Problem[] } {
  const { policiesPerRoute, report } = context;
  const count = references.size;
  if (count > policiesPerRoute) {
    const message = `Cannot use ${count} policies on one route: at most ${policiesPerRoute} are allowed`;
    const hint = 'The limit is "limits.policiesPerRoute" of the engine\'s configuration';
    return { policies: [], problems: [report("/policies", message, { hint })] };
  }
  const problems: Problem[] = [];
  const policies: PlannedPolicy[] = [];
  for (const [index, reference] of references) {
    const planned = planPolicy(reference, {
      ...context,
      report: (pointer, message, options) => report(`/policies/${index}${pointer}`, message, options),
    });
    problems.push(...planned.problems);
    if (planned.policy !== undefined) {
      const { policy, params, condition } = planned;
      policies.push({ index, reference, policy, params, condition });
    }
  }
  return { policies, problems };
}

type PlanPolicyResult =
  | {
      readonly policy: RegisteredPolicy;
      readonly params: unknown;
      readonly condition: Condition | undefined;
      readonly problems: readonly [];
    }
  | { readonly policy?: undefined; readonly problems: readonly Problem[] };

function planPolicy(reference: PolicyReference, context: PlanContext): PlanPolicyResult {
  const { registry, report, secrets } = context;
  const { name, version, enabled } = reference;
  const problems: Problem[] = [];
  const resolved = registry.resolve(name, version);
  const policy = resolved.policy;
  // What is not going to run needs nothing of a later release.
  if (enabled && policy !== undefined) problems.push(...unsupported(policy.definition, report));
  problems.push(...checkTimeout(reference, report));
  const { condition, problems: faults } = conditionOf(reference);
  problems.push(...faults.map((message) => report("/executionCondition", message)));
  if (policy === undefined) {
    const pointer = registry.list().some((listing) => listing.name === name) ? "/version" : "/name";
    problems.push(report(pointer, resolved.message, { hint: resolved.hint }));
    return { problems };
  }
  const checked = policy.parameters.check(reference.parameters, secrets);
  for (const { pointer, message, hint, at } of checked.issues) {
    problems.push(report(`/parameters${pointer}`, message, { hint, at }));
  }
  if (checked.issues.length === 0) {
    for (const message of refusedByPolicy(policy, checked.params))
      problems.push(report("/parameters", message));
  }
  return problems.length === 0 ? { policy, params: checked.params, condition, problems: [] } : { problems };
}

function conditionOf({ executionCondition }: PolicyReference): ReturnType<typeof compileCondition> {
  if (executionCondition === undefined) return { problems: [] };
  const compiled = compileCondition(executionCondition);
  const { reads } = compiled.condition ?? {};
  if (reads?.requestBody !== true || !reads.response) return compiled;
  // Whether the body is waited for would be known only after it has been sent on.
  return {
    problems: ["Cannot use a condition on both the request's body and the response: one of them is needed"],
  };
}

/** What the policy's own `validate` says; it is the author's code, so it may say or throw anything. */
function refusedByPolicy({ module, parameters }: RegisteredPolicy, params: unknown): string[] {
  if (module.validate === undefined) return [];
  const scrub = scrubber(parameters.secretsIn(params));
  let found: unknown;
  try {
    found = module.validate(params as never);
  } catch (error) {
    return [`Cannot check parameters: the policy's validate failed: ${reasonOf(error, scrub)}`];
  }
  if (!Array.isArray(found) || !found.every((message) => typeof message === "string")) {
    // A promise that rejects unseen would be reported as a stray rejection of the engine.
    if (found instanceof Promise) found.catch(() => {});
    return ["Cannot check parameters: the policy's validate did not return a list of strings"];
  }
  return found.slice(0, MAX_MESSAGES).map((message) => reasonOf(message, scrub));
}

/** Most messages taken from one policy's `validate`: more would bury those of others. */
const MAX_MESSAGES = 20;

/** A hook that is done sooner than a timer can tell, or as late as the longest message timeout. */
const TIMEOUT = { least: 1, most: 60 * 60 * 1_000 } as const;

function checkTimeout({ timeout }: PolicyReference, report: RouteReporter): Problem[] {
  const timeoutMs = parseDuration(timeout);
  if (timeoutMs === undefined || (timeoutMs >= TIMEOUT.least && timeoutMs <= TIMEOUT.most)) return [];
  const [from, to] = [formatDuration(TIMEOUT.least), formatDuration(TIMEOUT.most)];
  return [report("/timeout", `"timeout" must be from ${from} to ${to}`)];
}

/** What the policy needs and this release does not have. Refusing is safer than running without it. */
function unsupported(definition: PolicyDefinition, report: RouteReporter): Problem[] {
  const problems: Problem[] = [];
  const policy = `policy ${JSON.stringify(`${definition.name} ${definition.version}`)}`;
  for (const [direction, need] of [
    ["request", definition.requiresRequestBody],
    ["response", definition.requiresResponseBody],
  ] as const) {
    if (need !== "streamed") continue;
    const body = `a streamed ${direction} body`;
    problems.push(
      report("/name", `Cannot use ${policy}: it needs ${body}, which is not supported by this engine yet`),
    );
  }
  return problems;
}
