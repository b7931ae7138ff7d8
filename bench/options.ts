// The options of scripts/bench.ts.
import { parseArgs } from "node:util";
import { type BenchSettings, FULL, QUICK } from "./measure/settings.ts";
import { SCENARIOS, type ScenarioName } from "./scenarios/scenarios.ts";
import { VARIANT_NAMES } from "./variants/variants.ts";

/** What a run is asked to do. */
export interface BenchOptions {
  /** Whether everything is measured: only such results take the place of those that are kept. */
  readonly whole: boolean;
  readonly settings: BenchSettings;
  readonly variants: ReadonlySet<string>;
  readonly scenarios: readonly ScenarioName[];
  readonly buildPeers: boolean;
  /** Undefined: `bench/results` if everything is measured, else `.cache/bench/results`. */
  readonly output: string | undefined;
}

export type ParsedOptions =
  | { readonly kind: "run"; readonly options: BenchOptions }
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "usage"; readonly message: string };

export const USAGE = `Usage: bun scripts/bench.ts [options]

Measures Envoy with policy-engine, with other ext_proc servers and by itself, in one run.
Needs h2load (nghttp2's client programs); peers need Go and Rust and are left out by name where those are missing.

  --quick          Fewer variants, 4 rounds, one worker, under three minutes; peers only where they are built
  --rounds N       Rounds, 1 to 100 (7; quick: 4)
  --workers LIST   Envoy's worker threads, each 1 to 64 (1,2; quick: 1)
  --rate N         Requests a second of the steady load, 100 to 100000 (5000), if they go through
  --only LIST      Variants and scenarios by name, or all that begin with a name and "*"
  --output FOLDER  Where report, chart and raw figures go (bench/results; of a part: .cache/bench/results)
  --list           Print the names of variants and scenarios
  --help           Print this

Exit codes: 0 measured, 1 something failed or is missing, 2 usage, 130 interrupted.`;

/** What a quick run measures: one of each kind that the goals are about. */
const QUICK_NAMES = [
  "envoy",
  "ceiling",
  "tonic",
  "grpc-go",
  "engine-1",
  "engine-5-cel",
  "engine-jwt",
  "start-up",
];
const ALL_NAMES: readonly string[] = [...VARIANT_NAMES, ...SCENARIOS];
const MAX_ROUNDS = 100;
const MAX_WORKERS = 64;
const RATE = { min: 100, max: 100_000 };

export function parseOptions(args: readonly string[]): ParsedOptions {
  try {
    return parse(args);
  } catch (error) {
    return { kind: "usage", message: error instanceof Error ? error.message : String(error) };
  }
}

function parse(args: readonly string[]): ParsedOptions {
  const { values } = parseArgs({
    args: [...args],
    options: {
      quick: { type: "boolean", default: false },
      rounds: { type: "string" },
      workers: { type: "string" },
      rate: { type: "string" },
      only: { type: "string" },
      output: { type: "string" },
      list: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) return { kind: "text", text: USAGE };
  if (values.list) return { kind: "text", text: ALL_NAMES.join("\n") };
  const base = values.quick ? QUICK : FULL;
  const settings: BenchSettings = {
    ...base,
    rounds: wholeNumber("--rounds", values.rounds, { min: 1, max: MAX_ROUNDS }) ?? base.rounds,
    rate: wholeNumber("--rate", values.rate, RATE) ?? base.rate,
    workers:
      values.workers?.split(",").map((text) => {
        return wholeNumber("--workers", text, { min: 1, max: MAX_WORKERS })!;
      }) ?? base.workers,
  };
  const names = chosen(values.only?.split(",") ?? (values.quick ? QUICK_NAMES : ALL_NAMES));
  return {
    kind: "run",
    options: {
      ...{
        whole: !values.quick && values.only === undefined,
        settings,
        output: values.output,
        buildPeers: !values.quick,
      },
      variants: new Set(VARIANT_NAMES.filter((name) => names.has(name))),
      scenarios: SCENARIOS.filter((name) => names.has(name)),
    },
  };
}

function wholeNumber(
  option: string,
  text: string | undefined,
  { min, max }: { min: number; max: number },
): number | undefined {
  if (text === undefined) return undefined;
  const value = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN;
  if (!(value >= min && value <= max)) {
    throw new RangeError(`Cannot use ${option} "${text}": a whole number from ${min} to ${max} is needed`);
  }
  return value;
}

function chosen(patterns: readonly string[]): Set<string> {
  const found = new Set<string>();
  for (const pattern of patterns) {
    const matches = ALL_NAMES.filter((name) =>
      pattern.endsWith("*") ? name.startsWith(pattern.slice(0, -1)) : name === pattern,
    );
    if (matches.length === 0) {
      throw new RangeError(
        `Cannot use --only "${pattern}": there is no such variant or scenario, see --list`,
      );
    }
    for (const name of matches) found.add(name);
  }
  return found;
}
