import type { EngineMetrics } from "../observability/engine-metrics.ts";
import type { BodyRequirement } from "../policy/definition.ts";
import type { PolicyInstance } from "../policy/instance.ts";
import type { Chain, Step, StepCondition } from "./chain.ts";
import type { BodyNeed } from "./message-body.ts";

/** What a chain is made of. */
export interface ChainSettings {
  readonly route: string;
  /** The enabled policies of the route, in list order. */
  readonly steps: readonly StepSettings[];
  readonly responseOrder: "listed" | "reversed";
  /** The operator's metadata of engine and route. */
  readonly metadata: Readonly<Record<string, string>>;
  /** The largest body of this route. Default: the engine's limit. */
  readonly bodyBytes?: number | undefined;
  readonly metrics: EngineMetrics;
}

/** One policy of a chain, with what the route says of it beside its parameters. */
export interface StepSettings {
  readonly instance: PolicyInstance;
  /** Default: deny. */
  readonly onUnbufferable?: "deny" | "skip" | undefined;
  readonly condition?: StepCondition | undefined;
  /** Default: the definition's. */
  readonly conditionError?: "skip" | "deny" | undefined;
  /** Default: the definition's. */
  readonly failureMode?: "closed" | "open" | undefined;
  /** Default: none but the message's budget. */
  readonly timeoutMs?: number | undefined;
}

/** Does once, when the configuration changes, whatever the executor would else do for every request. */
export function compileChain(settings: ChainSettings): Chain {
  const { route, responseOrder, metadata, bodyBytes = Number.POSITIVE_INFINITY, metrics } = settings;
  const steps = settings.steps.map((step, index) => compileStep(step, { index, metrics }));
  const response = steps.filter((step) => step.policy.onResponse !== undefined);
  if (responseOrder === "reversed") response.reverse();
  return {
    route,
    metadata: new Map(Object.entries(metadata)),
    bodyBytes,
    steps,
    request: steps.filter(hasRequestStep),
    keepsRequestBody: response.some((step) => step.requestBody !== "none"),
    response,
  };
}

/** A condition that reads the response leaves its policy the response phase only. */
function hasRequestStep({ policy, condition }: Step): boolean {
  if (condition?.reads.response === true) return false;
  return policy.onRequest !== undefined || condition?.reads.requestBody === true;
}

function compileStep(
  {
    instance,
    condition,
    onUnbufferable = "deny",
    timeoutMs = Number.POSITIVE_INFINITY,
    ...own
  }: StepSettings,
  { index, metrics }: { index: number; metrics: EngineMetrics },
): Step {
  const { definition, policy, log } = instance;
  const { name, version, appliesToDenials, requiresRequestBody, requiresResponseBody } = definition;
  const label = `${name}:${version}`;
  return {
    index,
    name,
    version,
    policy,
    appliesToDenials,
    failureMode: own.failureMode ?? definition.failureMode,
    timeoutMs,
    requestBody: needOf(requiresRequestBody),
    responseBody: needOf(requiresResponseBody),
    onUnbufferable,
    condition,
    conditionError: own.conditionError ?? definition.conditionError,
    log,
    metrics: {
      passed: metrics.executions(label, "passed"),
      denied: metrics.executions(label, "denied"),
      failed: metrics.executions(label, "failed"),
      duration: metrics.executionDuration(label),
      failure: (reason) => metrics.policyFailures(label, reason),
    },
  };
}

function needOf(requirement: BodyRequirement): BodyNeed {
  if (requirement === "streamed")
    throw new TypeError("Cannot compile a step that streams: it needs a body at once");
  return requirement;
}
