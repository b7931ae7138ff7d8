import type { Machine } from "../measure/machine.ts";
import type { Metric, Sample } from "../measure/sample.ts";
import type { BenchSettings } from "../measure/settings.ts";
import { type Summary, summarise } from "../measure/statistics.ts";

/** Everything a run measured: what the raw JSON holds, and what tables, chart and goals are made from. */
export interface BenchResult {
  /** `YYYY-MM-DD`. */
  readonly date: string;
  readonly commit: string;
  readonly machine: Machine;
  /** The share of the cores that was at work before the run began, 0 to 1. */
  readonly busyBefore: number;
  readonly versions: Readonly<Record<string, string>>;
  readonly settings: BenchSettings;
  /** Requests a second of the steady load, by number of Envoy's workers: what was asked for, or less. */
  readonly rates: Readonly<Record<string, number>>;
  /** How programs were spread over the cores, by number of Envoy's workers. */
  readonly cores: Readonly<Record<string, string>>;
  readonly variants: readonly VariantResult[];
  readonly scenarios: Scenarios;
  /** Variants and scenarios that could not be measured, and why. */
  readonly leftOut: readonly LeftOut[];
  /** What went wrong in a round; its sample is missing. */
  readonly failures: readonly LeftOut[];
}

export interface VariantResult {
  readonly name: string;
  readonly title: string;
  readonly workers: number;
  readonly bodyBytes?: number;
  /** One of each round. */
  readonly samples: readonly Sample[];
}

export interface LeftOut {
  readonly name: string;
  readonly reason: string;
}

/** What is not measured in rounds. A scenario that did not run is not there. */
export interface Scenarios {
  readonly startUp?: { readonly readyMs: readonly number[]; readonly idleMB: readonly number[] };
  readonly held?: { readonly exchanges: number; readonly answered: number; readonly heldMB: number };
  readonly tenThousand?: { readonly rate: number; readonly p99: number; readonly peakMB: number };
  /** Memory while so many requests pass, from the first sample to the last. */
  readonly soak?: { readonly requests: number; readonly residentMB: readonly number[] };
}

/** What was measured of a variant, or undefined where it was not. */
export function summaryOf(
  result: BenchResult,
  { name, workers, metric }: { name: string; workers: number; metric: Metric },
): Summary | undefined {
  const variant = result.variants.find((other) => other.name === name && other.workers === workers);
  const values = variant?.samples.flatMap((sample) => sample[metric] ?? []) ?? [];
  return values.length === 0 ? undefined : summarise(values);
}

/** The steady rate behind so many workers, in requests a second. */
export function rateOf({ rates, settings }: BenchResult, workers: number): number {
  return rates[workers] ?? settings.rate;
}
