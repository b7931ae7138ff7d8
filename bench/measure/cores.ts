// Which program runs on which core. The proxy is what is measured against, so it gets its cores to itself.

/** Lists of cores as taskset writes them. */
export interface CorePlan {
  readonly envoy: string;
  readonly processor: string;
  /** The load and the upstream. */
  readonly rest: string;
}

/**
 * Spreads the programs over the cores of a machine. Undefined: there are too few to give Envoy's workers cores of
 * their own, and the kernel decides.
 */
export function planCores(cores: number, workers: number): CorePlan | undefined {
  const left = cores - workers;
  if (left < 1) return undefined;
  const envoy = range(0, workers);
  if (left === 1) return { envoy, processor: String(workers), rest: String(workers) };
  // As many for the processor as Envoy has, so that a server of several threads can use them.
  const share = Math.min(workers, left - 1);
  return { envoy, processor: range(workers, share), rest: range(workers + share, left - share) };
}

/** The command that runs another on some cores only. */
export function onCores(cores: string | undefined, command: readonly string[]): string[] {
  return cores === undefined ? [...command] : ["taskset", "-c", cores, ...command];
}

/** What the report says of it. */
export function describePlan(plan: CorePlan | undefined): string {
  if (plan === undefined) return "not pinned: too few cores, or no taskset";
  const { envoy, processor, rest } = plan;
  if (processor === rest) return `Envoy on core ${envoy}; processor, upstream and load share core ${rest}`;
  return `Envoy on core ${envoy}, processor on ${processor}, upstream and load on ${rest}`;
}

function range(from: number, count: number): string {
  return count === 1 ? String(from) : `${from}-${from + count - 1}`;
}
