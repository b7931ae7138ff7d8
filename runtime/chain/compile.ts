import type { EngineMetrics } from "../observability/engine-metrics.ts";
import type { PolicyInstance } from "../policy/instance.ts";
import type { Chain, Step } from "./chain.ts";

/** What a chain is made of. */
export interface ChainSettings {
  readonly route: string;
  /** The enabled policies of the route, in list order. */
  readonly instances: readonly PolicyInstance[];
  readonly responseOrder: "listed" | "reversed";
  /** The operator's metadata of engine and route. */
  readonly metadata: Readonly<Record<string, string>>;
  readonly metrics: EngineMetrics;
}

/** Does once, when the configuration changes, whatever the executor would else do for every request. */
export function compileChain({ route, instances, responseOrder, metadata, metrics }: ChainSettings): Chain {
  const steps = instances.map((instance, index) => compileStep(instance, { index, metrics }));
  const response = steps.filter((step) => step.policy.onResponse !== undefined);
  if (responseOrder === "reversed") response.reverse();
  return {
    route,
    metadata: new Map(Object.entries(metadata)),
    steps,
    request: steps.filter((step) => step.policy.onRequest !== undefined),
    response,
  };
}

function compileStep(
  instance: PolicyInstance,
  { index, metrics }: { index: number; metrics: EngineMetrics },
): Step {
  const { definition, policy, log } = instance;
  const { name, version, appliesToDenials } = definition;
  const label = `${name}:${version}`;
  return {
    index,
    name,
    version,
    policy,
    appliesToDenials,
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
