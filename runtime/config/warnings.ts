import { type ConditionFacts, conditionFacts } from "../cel/condition-facts.ts";
import { STEPS_SHARE } from "../chain/message-budget.ts";
import type { Problem } from "../document/problem.ts";
import { type HeaderSet, headersSet } from "../policy/headers-set.ts";
import type { PlannedPolicy, PlannedRoute } from "./plan-policies.ts";
import { formatDuration, parseDuration } from "./quantity.ts";
import type { RouteReporter } from "./route-resource.ts";
import { type WarningReporter, warningReporter } from "./warning.ts";
import { authenticationWarnings } from "./warnings-authentication.ts";

/** What routes are judged by, beside themselves. */
export interface WarningContext {
  readonly report: RouteReporter;
  /** `extProc.messageTimeout`. */
  readonly messageTimeoutMs: number;
}

/** What of a valid route is legal but dangerous, or without effect. */
export function routeWarnings({ policies }: PlannedRoute, context: WarningContext): Problem[] {
  const warn = warningReporter(context.report);
  const steps = policies.map((planned): Step => {
    const { condition } = planned;
    return { planned, facts: condition === undefined ? undefined : conditionFacts(condition) };
  });
  return [
    ...steps.flatMap(({ planned, facts }) => authenticationWarnings(planned, facts, warn)),
    ...steps.flatMap((step) => stepWarnings(step, warn, context.messageTimeoutMs)),
    ...pairWarnings(steps, warn),
  ];
}

interface Step {
  readonly planned: PlannedPolicy;
  /** Undefined where there is no condition. */
  readonly facts: ConditionFacts | undefined;
}

function stepWarnings({ planned, facts }: Step, warn: WarningReporter, messageTimeoutMs: number): Problem[] {
  const { index, reference, policy } = planned;
  if (!reference.enabled) return [];
  const found: Problem[] = [];
  const pointer = `/policies/${index}/executionCondition`;
  if (facts?.constant === false) {
    const message = `Policy ${nameOf(planned)} never runs: its condition is false for every exchange`;
    found.push(warn("step-never-runs", { pointer, message, hint: 'Use "enabled: false", or take it out' }));
  } else if (
    facts?.names.has("response") === true &&
    policy.definition.supportsRequestPhase === true &&
    !policy.definition.authentication
  ) {
    const message = `Policy ${nameOf(planned)} never runs in the request: its condition reads the response`;
    const hint = "Use a condition on the request, or a policy for the response alone";
    found.push(warn("request-phase-never-runs", { pointer, message, hint }));
  }
  const timeoutMs = parseDuration(reference.timeout);
  if (timeoutMs !== undefined && timeoutMs > messageTimeoutMs * STEPS_SHARE) {
    const budget = formatDuration(Math.floor(messageTimeoutMs * STEPS_SHARE));
    const message = `The timeout of policy ${nameOf(planned)} never passes: all policies that run in one message have ${budget}`;
    const hint = 'Lower it, or raise "extProc.messageTimeout", of which they have nine tenths';
    found.push(warn("timeout-above-budget", { pointer: `/policies/${index}/timeout`, message, hint }));
  }
  return found;
}

/** What two policies of a route do to each other. */
function pairWarnings(steps: readonly Step[], warn: WarningReporter): Problem[] {
  const found: Problem[] = [];
  const seen = new Map<string, PlannedPolicy>();
  const setters = new Map<string, PlannedPolicy>();
  for (const { planned } of steps) {
    if (!planned.reference.enabled) continue;
    const identity = identityOf(planned);
    const twin = seen.get(identity);
    if (twin !== undefined) {
      const message = `Policy ${nameOf(planned)} stands twice with the same parameters and condition: policies[${twin.index}] is the same`;
      const hint = "Keep one of them";
      found.push(warn("duplicate-step", { pointer: `/policies/${planned.index}`, message, hint }));
      continue;
    }
    seen.set(identity, planned);
    const condition = planned.condition?.source;
    for (const header of headersSet(planned.policy.definition.parameters, planned.params)) {
      // Different conditions may make sure that only one of them runs.
      const key = JSON.stringify([condition, header.direction, header.name]);
      const other = setters.get(key);
      if (other === undefined) setters.set(key, planned);
      else if (other !== planned) found.push(warn("header-set-twice", setTwice(planned, header, other)));
    }
  }
  return found;
}

function setTwice(
  planned: PlannedPolicy,
  { direction, name, pointer }: HeaderSet,
  other: PlannedPolicy,
): { pointer: string; message: string; hint: string } {
  return {
    pointer: `/policies/${planned.index}/parameters${pointer}`,
    message: `Policy ${nameOf(planned)} sets the ${direction} header ${JSON.stringify(name)}, which policies[${other.index}] sets too: the one that runs last wins`,
    hint: "Set it in one place, or use another name",
  };
}

/** Never shown: parameters may hold secrets. */
function identityOf({ policy, params, condition }: PlannedPolicy): string {
  const { name, version } = policy.definition;
  return JSON.stringify([name, version, condition?.source, params]);
}

function nameOf({ policy: { definition } }: PlannedPolicy): string {
  return JSON.stringify(`${definition.name} ${definition.version}`);
}
