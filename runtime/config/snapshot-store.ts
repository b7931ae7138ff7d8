import { isDeepStrictEqual } from "node:util";
import { compareProblems, type Problem } from "../document/problem.ts";
import type { EngineMetrics } from "../observability/engine-metrics.ts";
import type { EngineLogger } from "../observability/log.ts";
import type { BuildInfo, PolicyRegistry } from "../policy/registry.ts";
import type { ApplyReport, RouteCounts } from "./apply-report.ts";
import { buildRoutes } from "./build-routes.ts";
import type { EngineConfig } from "./engine-config.ts";
import { mergeRoutes, removedRoutes } from "./merge-routes.ts";
import { logReport } from "./report-log.ts";
import { dumpRoute, type RouteDump, type RouteRecord, type RouteStatus, statusOf } from "./route-record.ts";
import type { RouteSet } from "./route-source.ts";
import { ClosingInstances, type SharedInstance } from "./shared-instance.ts";
import { Snapshot } from "./snapshot.ts";

/** Problems that are kept and shown; beyond this nobody reads on. */
export const MAX_PROBLEMS = 1_000;

export interface SnapshotStoreSettings {
  readonly registry: PolicyRegistry;
  readonly config: Pick<EngineConfig, "metadata" | "limits" | "extProc">;
  readonly build: BuildInfo;
  readonly log: EngineLogger;
  readonly metrics: EngineMetrics;
}

export type { ApplyReport, RouteCounts };

/** The store for people and probes. */
export interface StoreStatus {
  readonly snapshot: number | undefined;
  /** When the current snapshot was applied; ISO 8601. */
  readonly appliedAt: string | undefined;
  readonly lastReload: Omit<ApplyReport, "problems"> | undefined;
  /** By name. */
  readonly routes: readonly {
    readonly route: string;
    readonly source: string;
    readonly status: RouteStatus;
  }[];
  /** What is wrong with the configuration as it was last seen. */
  readonly problems: readonly Problem[];
}

/** Holds the current snapshot and replaces it when the configuration changes. */
export class SnapshotStore {
  readonly #settings: SnapshotStoreSettings;
  readonly #closing = new ClosingInstances();
  #current: Snapshot | undefined;
  #appliedAt: string | undefined;
  #records: ReadonlyMap<string, RouteRecord> = new Map();
  #lastReport: ApplyReport | undefined;
  /** The apply at work, and one that waits for it. */
  #running: Promise<unknown> = Promise.resolve();
  #queued: Promise<ApplyReport> | undefined;
  #newest: RouteSet | undefined;
  #closed = false;

  constructor(settings: SnapshotStoreSettings) {
    this.#settings = settings;
  }

  /** The snapshot of this moment: retain it before use. Undefined until the first is applied, and after close. */
  get current(): Snapshot | undefined {
    return this.#current;
  }

  /**
   * Takes a set of routes. Sets are taken one after the other; of those that wait the newest wins, and the report
   * of the older ones is its report.
   */
  apply(set: RouteSet): Promise<ApplyReport> {
    this.#newest = set;
    if (this.#queued === undefined) {
      this.#queued = this.#running.then(() => {
        this.#queued = undefined;
        return this.#apply(this.#newest!);
      });
      this.#running = this.#queued.catch(() => undefined);
    }
    return this.#queued;
  }

  /** Whether applying the set would take routes away. */
  wouldRemove(set: RouteSet): boolean {
    return removedRoutes(set, this.#records).length > 0;
  }

  status(): StoreStatus {
    const report = this.#lastReport;
    const { problems = [], ...lastReload } = report ?? {};
    const routes = this.#sortedRecords().map((record) => {
      return { route: record.route, source: record.source, status: statusOf(record) };
    });
    return {
      snapshot: this.#current?.id,
      appliedAt: this.#appliedAt,
      lastReload: report && (lastReload as Omit<ApplyReport, "problems">),
      routes,
      problems,
    };
  }

  /** What each route serves, by name, without secrets. */
  dump(): RouteDump[] {
    return this.#sortedRecords().map(dumpRoute);
  }

  /**
   * Lets go of the current snapshot and waits until what it alone held is closed, or `limits.shutdownTimeout` is
   * over. Exchanges that still hold a snapshot keep its instances until they end.
   */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#running;
    this.#current?.release();
    this.#current = undefined;
    const { shutdownTimeoutMs } = this.#settings.config.limits;
    const { promise: expired, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, shutdownTimeoutMs);
    await Promise.race([this.#closing.settled(), expired]);
    clearTimeout(timer);
  }

  async #apply(set: RouteSet): Promise<ApplyReport> {
    if (this.#closed) throw new Error("Cannot apply a configuration: the engine is stopping");
    const { registry, config, log, metrics } = this.#settings;
    const before = this.#current === undefined ? undefined : this.#records;
    const { limits, extProc } = config;
    const { messageTimeoutMs } = extProc;
    const merge = await mergeRoutes(set, { registry, limits, messageTimeoutMs, known: before });
    if (merge.refused) return this.#finish({ problems: merge.problems, records: undefined });
    const built = await buildRoutes(merge.routes, this.#buildContext());
    if (this.#closed) {
      for (const instance of built.created) instance.closeUnused();
      throw new Error("Cannot apply a configuration: the engine is stopping");
    }
    const records = new Map(built.records.map((record) => [record.route, record]));
    for (const route of merge.kept) records.set(route, { ...this.#records.get(route)!, current: false });
    const report = this.#finish({ problems: [...merge.problems, ...built.problems], records });
    log.debug("Built routes", { created: built.created.length });
    metrics.routesActive.set(report.routes.active + report.routes.lastGood);
    metrics.routesUnavailable.set(report.routes.unavailable);
    return report;
  }

  #buildContext() {
    const { build, config, log, metrics } = this.#settings;
    const { metadata, limits } = config;
    const { createTimeoutMs } = limits;
    return { build, metadata, createTimeoutMs, log, metrics, closing: this.#closing, known: this.#records };
  }

  /** Swaps where something changed, and reports. Without records nothing is taken over. */
  #finish(outcome: {
    problems: readonly Problem[];
    records: Map<string, RouteRecord> | undefined;
  }): ApplyReport {
    const records = outcome.records ?? this.#records;
    const at = new Date().toISOString();
    const difference = compareRecords(this.#records, records);
    const first = outcome.records !== undefined && this.#current === undefined;
    const changed = first || Object.values(difference).some((count) => count > 0);
    if (changed) this.#swap(records, at);
    this.#records = records;
    const failed = outcome.problems.some(({ severity }) => severity === "error");
    const result = failed ? (changed ? "partial" : "rejected") : changed ? "applied" : "unchanged";
    const report: ApplyReport = {
      result,
      at,
      snapshot: this.#current?.id,
      problems: keptOf(outcome.problems),
      problemCount: outcome.problems.length,
      routes: { ...countStatuses(records.values()), ...difference },
    };
    this.#lastReport = report;
    this.#settings.metrics.configReloads(result).inc();
    logReport(report, this.#settings.log);
    return report;
  }

  #swap(records: ReadonlyMap<string, RouteRecord>, at: string): void {
    const previous = this.#current;
    const instances = new Set<SharedInstance>();
    for (const record of records.values()) for (const instance of record.instances) instances.add(instance);
    const routes = new Map([...records].map(([route, { state }]) => [route, state]));
    this.#current = new Snapshot((previous?.id ?? 0) + 1, { routes, instances });
    this.#appliedAt = at;
    previous?.release();
  }

  #sortedRecords(): RouteRecord[] {
    return [...this.#records.values()].sort((a, b) => (a.route < b.route ? -1 : 1));
  }
}

/** Sorted, and no more than anybody reads: a flood of warnings must not push errors out. */
function keptOf(problems: readonly Problem[]): Problem[] {
  const bySeverity = problems.toSorted(
    (a, b) => Number(a.severity === "warning") - Number(b.severity === "warning") || compareProblems(a, b),
  );
  return bySeverity.slice(0, MAX_PROBLEMS).sort(compareProblems);
}

function compareRecords(
  before: ReadonlyMap<string, RouteRecord>,
  after: ReadonlyMap<string, RouteRecord>,
): Pick<RouteCounts, "added" | "changed" | "removed"> {
  let added = 0;
  let changed = 0;
  for (const [route, record] of after) {
    const known = before.get(route);
    if (known === undefined) added += 1;
    else if (known !== record && !isSame(known, record)) changed += 1;
  }
  let removed = 0;
  for (const route of before.keys()) if (!after.has(route)) removed += 1;
  return { added, changed, removed };
}

/** Whether a route serves the same, from the same configuration: what is not enabled counts too. */
function isSame(a: RouteRecord, b: RouteRecord): boolean {
  const before = a.plan?.resource;
  const after = b.plan?.resource;
  return a.state === b.state && (before === after || isDeepStrictEqual(before, after));
}

function countStatuses(
  records: Iterable<RouteRecord>,
): Pick<RouteCounts, "active" | "lastGood" | "unavailable"> {
  const counts = { active: 0, "last-good": 0, unavailable: 0 };
  for (const record of records) counts[statusOf(record)] += 1;
  return { active: counts.active, lastGood: counts["last-good"], unavailable: counts.unavailable };
}
