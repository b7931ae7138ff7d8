// What the engine has to reach, held against what a run measured. Ratios within one run decide.

import type { Metric } from "../measure/sample.ts";
import { median, type Summary } from "../measure/statistics.ts";
import { type BenchResult, summaryOf } from "./result.ts";

export interface Goal {
  readonly what: string;
  readonly needed: string;
  readonly measured: string;
  /** Undefined: something that it needs was not measured. */
  readonly reached: boolean | undefined;
}

/** What goals compare: all that is measured behind more than one worker of Envoy. */
export const COMPARED: ReadonlySet<string> = new Set([
  ...["envoy", "ceiling", "tonic", "grpc-go", "engine-1", "engine-5-cel", "engine-jwt", "envoy-body-100k"],
  ...["body-10k", "body-100k"].flatMap((suffix) => [`grpc-go-${suffix}`, `engine-${suffix}`]),
]);

const NOT_MEASURED = "not measured";
/** From the first third of a soak to the last; more is not flat. */
const FLAT = 1.1;
const CPUS = [
  ["steady.processorCpu", "steady"],
  ["saturated.processorCpu", "saturated"],
] as const;
const LATENCIES = [
  ["single.p50", "p50, one client"],
  ["single.p99", "p99, one client"],
  ["steady.p50", "p50, steady rate"],
  ["steady.p99", "p99, steady rate"],
] as const;

/** Every goal, for each number of Envoy's workers that was measured, then those that stand by themselves. */
export function goalsOf(result: BenchResult): Goal[] {
  return [
    ...result.settings.workers.flatMap((workers) => goalsBehind(result, workers)),
    ...goalsOfScenarios(result),
  ];
}

function goalsBehind(result: BenchResult, workers: number): Goal[] {
  const of = (name: string, metric: Metric) => summaryOf(result, { name, workers, metric })?.median;
  const behind = `${workers} ${workers === 1 ? "worker" : "workers"}`;
  /** At most so many times what another variant needs. */
  const against = (what: string, parts: AgainstParts): Goal => {
    const { name, other, metric, factor = 1, sign = "<=" } = parts;
    const [value, limit] = [of(name, metric), of(other, metric)];
    const share = factor === 1 ? other : `${factor} x ${other}`;
    const needed = `${sign === "<=" ? "at most" : "at least"} ${share}`;
    if (value === undefined || limit === undefined) {
      return { what: `${what} (${behind})`, needed, measured: NOT_MEASURED, reached: undefined };
    }
    const ratio = value / limit;
    return {
      what: `${what} (${behind})`,
      needed,
      measured: `${short(value)} against ${short(limit)}: ${ratio.toFixed(2)}`,
      reached: sign === "<=" ? ratio <= factor : ratio >= factor,
    };
  };
  const processorCpu = { metric: "steady.processorCpu" } as const;
  return [
    ...CPUS.flatMap(([metric, load]) => {
      const one = `CPU of the engine, 1 policy, ${load}`;
      const five = `CPU of the engine, 5 policies, 2 conditions, ${load}`;
      return [
        atMost(`${one} (${behind})`, of("engine-1", metric), { limit: 10, unit: "us" }),
        against(one, { name: "engine-1", other: "tonic", metric }),
        against(one, { name: "engine-1", other: "grpc-go", factor: 0.5, metric }),
        atMost(`${five} (${behind})`, of("engine-5-cel", metric), { limit: 16, unit: "us" }),
        against(five, { name: "engine-5-cel", other: "tonic", metric }),
      ];
    }),
    against("Requests a second, 1 policy", {
      ...{ name: "engine-1", other: "ceiling", metric: "saturated.perSecond", factor: 0.93, sign: ">=" },
    }),
    ...LATENCIES.map(([metric, words]) =>
      against(`Latency ${words}, 1 policy`, { name: "engine-1", other: "tonic", metric }),
    ),
    against("CPU of the engine, cached JWT", {
      name: "engine-jwt",
      other: "engine-1",
      factor: 1.5,
      ...processorCpu,
    }),
    ...["body-10k", "body-100k"].map((suffix) =>
      against(`CPU of the engine, ${suffix}`, {
        ...{ name: `engine-${suffix}`, other: `grpc-go-${suffix}`, ...processorCpu },
      }),
    ),
    added(result, {
      what: "SC-002: p95 added, headers only",
      workers,
      limitMs: 5,
      name: "engine-5-cel",
      base: "envoy",
    }),
    added(result, {
      ...{ what: "SC-003: p95 added, 100 KiB body", workers, limitMs: 20 },
      ...{ name: "engine-body-100k", base: "envoy-body-100k" },
    }),
  ];
}

interface AgainstParts {
  readonly name: string;
  readonly other: string;
  readonly metric: Metric;
  readonly factor?: number;
  readonly sign?: "<=" | ">=";
}

interface AddedParts {
  readonly what: string;
  readonly workers: number;
  readonly limitMs: number;
  readonly name: string;
  readonly base: string;
}

/** What a chain adds to the time that Envoy alone takes. */
function added(result: BenchResult, { what, workers, limitMs, name, base }: AddedParts): Goal {
  const of = (variant: string) => summaryOf(result, { name: variant, workers, metric: "steady.p95" })?.median;
  const [value, alone] = [of(name), of(base)];
  const ms = value === undefined || alone === undefined ? undefined : (value - alone) / 1000;
  return atMost(`${what} (${workers} ${workers === 1 ? "worker" : "workers"})`, ms, {
    limit: limitMs,
    unit: "ms",
  });
}

function goalsOfScenarios({ scenarios, settings }: BenchResult): Goal[] {
  const { startUp, held, tenThousand, soak } = scenarios;
  const third = Math.ceil((soak?.residentMB.length ?? 0) / 3);
  const growth =
    soak === undefined
      ? undefined
      : median(soak.residentMB.slice(-third)) / median(soak.residentMB.slice(0, third));
  const exchanges = settings.heldExchanges.toLocaleString("en");
  return [
    {
      what: `${exchanges} exchanges held open, 5 policies, 2 conditions`,
      needed: "all answered",
      measured: held === undefined ? NOT_MEASURED : `${held.answered} answered`,
      reached: held && held.answered === held.exchanges,
    },
    atMost(`Memory with ${exchanges} exchanges held open`, held?.heldMB, { limit: 250, unit: "MB" }),
    {
      what: `Memory over ${(soak?.requests ?? settings.soakRequests).toLocaleString("en")} requests`,
      needed: "last third at most 1.1 x first third",
      measured: growth === undefined ? NOT_MEASURED : growth.toFixed(2),
      reached: growth === undefined ? undefined : growth <= FLAT,
    },
    atMost("Start to ready", startUp && median(startUp.readyMs), { limit: 100, unit: "ms" }),
    atMost("Idle memory", startUp && median(startUp.idleMB), { limit: 70, unit: "MB" }),
    {
      what: "10,000 requests a second, 5 policies, 2 conditions",
      needed: "held to 2 %",
      measured: tenThousand === undefined ? NOT_MEASURED : `${Math.round(tenThousand.rate)} a second`,
      reached: tenThousand && tenThousand.rate >= 9_800,
    },
    atMost("p99 at 10,000 requests a second", tenThousand && tenThousand.p99 / 1000, {
      limit: 100,
      unit: "ms",
    }),
    atMost("Peak memory at 10,000 requests a second", tenThousand?.peakMB, { limit: 1_000, unit: "MB" }),
  ];
}

function atMost(
  what: string,
  value: number | undefined,
  { limit, unit }: { limit: number; unit: string },
): Goal {
  return {
    what,
    needed: `at most ${limit} ${unit}`,
    measured: value === undefined ? NOT_MEASURED : `${short(value)} ${unit}`,
    reached: value === undefined ? undefined : value <= limit,
  };
}

/** Three digits that matter, for people. */
export function short(value: number): string {
  const size = Math.abs(value);
  if (size >= 1000) return Math.round(value).toLocaleString("en");
  return value.toFixed(size >= 100 ? 0 : size >= 10 ? 1 : 2);
}

/** The middle, then how far rounds lay apart. */
export function withSpread(summary: Summary | undefined): string {
  if (summary === undefined) return "";
  const { median: middle, min, max } = summary;
  return min === max ? short(middle) : `${short(middle)} (${short(min)} to ${short(max)})`;
}
