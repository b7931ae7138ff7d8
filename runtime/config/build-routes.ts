import { isDeepStrictEqual } from "node:util";
import { compileChain } from "../chain/compile.ts";
import type { Problem } from "../document/problem.ts";
import type { EngineMetrics } from "../observability/engine-metrics.ts";
import type { EngineLogger } from "../observability/log.ts";
import { createInstance } from "../policy/create-instance.ts";
import type { BuildInfo } from "../policy/registry.ts";
import { Breather } from "./breather.ts";
import type { MergedRoute } from "./merge-routes.ts";
import { handlingOf, type PlannedPolicy, type PlannedRoute } from "./plan-policies.ts";
import type { RouteRecord } from "./route-record.ts";
import { type ClosingInstances, SharedInstance } from "./shared-instance.ts";

/** Policies that are created at a time: some wait for a network, all share one processor. */
const MAX_CREATING = 16;

/** What chains and instances are made with. */
export interface BuildContext {
  readonly build: BuildInfo;
  readonly metadata: Readonly<Record<string, string>>;
  readonly createTimeoutMs: number;
  readonly log: EngineLogger;
  readonly metrics: EngineMetrics;
  readonly closing: ClosingInstances;
  readonly known: ReadonlyMap<string, RouteRecord>;
}

export interface BuiltRoutes {
  /** One for each route given, in order. */
  readonly records: readonly RouteRecord[];
  /** Instances that are new, for whoever drops the records before a snapshot holds them. */
  readonly created: readonly SharedInstance[];
  readonly problems: readonly Problem[];
}

/** Makes chains. Instances of the known records are carried over where nothing about them changed. */
export async function buildRoutes(
  routes: readonly MergedRoute[],
  context: BuildContext,
): Promise<BuiltRoutes> {
  const breather = new Breather();
  const drafts: RouteDraft[] = [];
  for (const merged of routes) {
    await breather.pause();
    drafts.push(new RouteDraft(merged, context));
  }
  await runBounded(
    drafts.flatMap((draft) => draft.missing.map((slot) => () => draft.create(slot))),
    breather,
  );
  const records: RouteRecord[] = [];
  for (const draft of drafts) {
    await breather.pause();
    records.push(draft.finish());
  }
  const created = drafts.flatMap((draft) => draft.created);
  return { records, created, problems: drafts.flatMap((draft) => draft.problems) };
}

interface Slot {
  readonly planned: PlannedPolicy;
  /** The instance that a new one takes the place of. */
  readonly previous: SharedInstance | undefined;
  instance: SharedInstance | undefined;
}

/** One route on its way from a plan to a record. */
class RouteDraft {
  readonly problems: Problem[] = [];
  readonly #merged: MergedRoute;
  readonly #context: BuildContext;
  readonly #known: RouteRecord | undefined;
  readonly #slots: readonly Slot[];
  #created: SharedInstance[] = [];

  constructor(merged: MergedRoute, context: BuildContext) {
    this.#merged = merged;
    this.#context = context;
    this.#known = context.known.get(merged.route);
    const { plan } = merged;
    // The very plan that the chain was made from needs nothing.
    const settled = plan === undefined || plan === this.#known?.plan;
    this.#slots = settled ? [] : fillSlots(plan, this.#known?.instances ?? []);
  }

  get missing(): readonly Slot[] {
    return this.#slots.filter((slot) => slot.instance === undefined);
  }

  get created(): readonly SharedInstance[] {
    return this.#created;
  }

  /** Creates the instance of a slot. Never rejects: a policy that fails is a problem of its route. */
  async create(slot: Slot): Promise<void> {
    const { build, metadata, createTimeoutMs, log, closing } = this.#context;
    const { policy, params, index } = slot.planned;
    try {
      const instance = await createInstance(policy, {
        route: this.#merged.route,
        params,
        engineMetadata: metadata,
        build,
        log,
        timeoutMs: createTimeoutMs,
        ...(slot.previous && { previous: slot.previous.instance.policy }),
      });
      slot.instance = new SharedInstance(instance, { origin: { policy, params }, closing });
      this.#created.push(slot.instance);
    } catch (cause) {
      this.#fail(`/policies/${index}/name`, cause);
    }
  }

  finish(): RouteRecord {
    const { route, source, plan } = this.#merged;
    if (plan !== undefined && plan === this.#known?.plan) return { ...this.#known, source, current: true };
    if (plan !== undefined && this.problems.length === 0 && this.#checkConditions()) {
      const instances = this.#slots.map(({ instance }) => instance!);
      if (this.#isUnchanged(plan, instances)) return { ...this.#known!, source, plan, current: true };
      try {
        const state = { kind: "chain", chain: this.#compile(plan) } as const;
        return { route, source, current: true, state, plan, instances };
      } catch (cause) {
        this.#fail("", cause);
      }
    }
    for (const instance of this.#created) instance.closeUnused();
    this.#created = [];
    if (this.#known !== undefined) return { ...this.#known, current: false };
    return { route, source, current: true, state: { kind: "unavailable" }, plan: undefined, instances: [] };
  }

  #isUnchanged({ resource, policies }: PlannedRoute, instances: readonly SharedInstance[]): boolean {
    const before = this.#known;
    if (before?.plan === undefined || before.instances.length !== instances.length) return false;
    return (
      instances.every((instance, index) => instance === before.instances[index]) &&
      isDeepStrictEqual(handlings(before.plan.policies), handlings(policies)) &&
      before.plan.resource.responseOrder === resource.responseOrder &&
      isDeepStrictEqual(before.plan.resource.metadata, resource.metadata) &&
      isDeepStrictEqual(before.plan.resource.limits, resource.limits)
    );
  }

  /** A condition that reads the response needs a policy that has that phase; only the instance tells. */
  #checkConditions(): boolean {
    for (const { planned, instance } of this.#slots) {
      if (planned.condition?.reads.response !== true || instance?.instance.policy.onResponse !== undefined)
        continue;
      const message = "Cannot use a condition that reads the response: the policy has no response phase";
      this.problems.push(this.#merged.report(`/policies/${planned.index}/executionCondition`, message));
    }
    return this.problems.length === 0;
  }

  #compile({ resource }: PlannedRoute) {
    const { metrics, metadata } = this.#context;
    return compileChain({
      route: resource.route,
      steps: this.#slots.map(({ planned, instance }) => ({
        instance: instance!.instance,
        ...handlingOf(planned),
      })),
      responseOrder: resource.responseOrder,
      metadata: { ...metadata, ...resource.metadata },
      bodyBytes: resource.limits.bodyBytes,
      metrics,
    });
  }

  #fail(pointer: string, cause: unknown): void {
    const message =
      cause instanceof Error ? cause.message : "Cannot create a policy: it failed without an Error";
    this.problems.push(this.#merged.report(pointer, message));
  }
}

/** What a route says of its policies beside their parameters, to compare. */
function handlings(policies: readonly PlannedPolicy[]): unknown {
  const enabled = policies.filter(({ reference }) => reference.enabled);
  return enabled.map((planned) => ({ ...handlingOf(planned), condition: planned.condition?.source }));
}

/** Finds an instance for each enabled policy: an equal one, else the one whose place a new one will take. */
function fillSlots({ policies }: PlannedRoute, known: readonly SharedInstance[]): Slot[] {
  const free = new Set(known);
  const take = (fits: (instance: SharedInstance) => boolean): SharedInstance | undefined => {
    for (const instance of free) {
      if (!fits(instance)) continue;
      free.delete(instance);
      return instance;
    }
    return undefined;
  };
  const enabled = policies.filter(({ reference }) => reference.enabled);
  const equal = enabled.map(({ policy, params }) =>
    take(({ origin }) => origin.policy === policy && isDeepStrictEqual(origin.params, params)),
  );
  return enabled.map((planned, index) => ({
    planned,
    instance: equal[index],
    previous: equal[index] === undefined ? take(({ origin }) => origin.policy === planned.policy) : undefined,
  }));
}

/** Runs jobs, so many at a time. */
async function runBounded(jobs: readonly (() => Promise<void>)[], breather: Breather): Promise<void> {
  let next = 0;
  const lane = async (): Promise<void> => {
    while (next < jobs.length) {
      await jobs[next++]!();
      await breather.pause();
    }
  };
  await Promise.all(Array.from({ length: Math.min(MAX_CREATING, jobs.length) }, lane));
}
