import { residentMemory } from "../../test/integration/scale-figures.ts";
import { holdRate, type LoadReport, type LoadTarget, saturate } from "../load/h2load.ts";
import { PATH } from "../load/work.ts";
import type { Variant } from "../variants/variant.ts";
import { cpuBetween, readCpu } from "./cpu.ts";
import { type Bench, type Rig, type RigOptions, startRig } from "./rig.ts";
import type { Sample } from "./sample.ts";
import { type BenchSettings, SATURATING } from "./settings.ts";
import { percentile } from "./statistics.ts";

const MEGABYTE = 1e6;

export interface StandOptions extends RigOptions {
  readonly settings: BenchSettings;
  /** The file with the variant's body; undefined: it has none. */
  readonly body: string | undefined;
}

/** A variant that has been warmed up, and waits for its turn. */
export interface Stand {
  readonly variant: Variant;
  readonly rig: Rig;
  readonly target: LoadTarget;
  /** Requests a second at the end of the warm-up. */
  readonly perSecond: number;
}

/**
 * Starts a variant's programs and warms them up.
 * @throws {Error} If it does not do its work.
 */
export async function prepareStand(variant: Variant, bench: Bench, options: StandOptions): Promise<Stand> {
  const { settings, body, plan } = options;
  const rig = await startRig(variant, bench, options);
  try {
    const { port } = rig.envoy;
    const target: LoadTarget = { port, path: PATH, headers: bench.headers, body, cores: plan?.rest };
    return { variant, rig, target, perSecond: await warmUp(target, { variant, settings }) };
  } catch (error) {
    await rig.stop();
    throw error;
  }
}

/**
 * Measures a variant once, under each kind of load in turn. A steady rate above what goes through at saturation would
 * only measure how long the queue got, so it is left out.
 */
export async function measureStand(
  { variant, rig, target }: Stand,
  { bench, settings, rate: most }: { bench: Bench; settings: BenchSettings; rate: number },
): Promise<Sample> {
  const watch = (load: () => Promise<LoadReport>) => withCpu(load, { rig, bench });
  const saturated = await watch(() =>
    saturate(target, { ...SATURATING, seconds: settings.saturatedSeconds }),
  );
  const rate = most * (variant.bodyBytes === undefined ? 1 : settings.bodyRateShare);
  const steady =
    saturated.perSecond < rate
      ? undefined
      : await watch(() => holdRate(target, { rate, seconds: settings.steadySeconds }));
  const single = await saturate(target, {
    ...{ connections: 1, requestsAtOnce: 1, seconds: settings.singleSeconds, log: true },
  });
  return {
    "saturated.perSecond": saturated.perSecond,
    "saturated.envoyCpu": saturated.envoyCpu,
    "saturated.upstreamCpu": saturated.upstreamCpu,
    ...(steady !== undefined && {
      "steady.perSecond": steady.perSecond,
      "steady.envoyCpu": steady.envoyCpu,
      "steady.p50": percentile(steady.latencies, 0.5),
      "steady.p95": percentile(steady.latencies, 0.95),
      "steady.p99": percentile(steady.latencies, 0.99),
    }),
    "single.p50": percentile(single.latencies, 0.5),
    "single.p99": percentile(single.latencies, 0.99),
    ...(rig.processor !== undefined && {
      "saturated.processorCpu": saturated.processorCpu,
      ...(steady !== undefined && { "steady.processorCpu": steady.processorCpu }),
      memory: (await residentMemory(rig.processor.pid)) / MEGABYTE,
    }),
  };
}

/** Requests a second, so few that hardly two are under way at once. */
const GENTLE_RATE = 500;

/**
 * A compiler that works while requests are served takes its time from them: it is given the requests it needs, of every
 * load that is measured, as each finds other ways through the code. A program that was compiled before is warm when its
 * caches are.
 */
async function warmUp(
  target: LoadTarget,
  { variant, settings }: { variant: Variant; settings: BenchSettings },
): Promise<number> {
  const { warmUpSeconds: seconds, warmUpRequests, warmUpLimitSeconds, singleSeconds } = settings;
  let requests = 0;
  for (let spent = seconds; ; spent += seconds) {
    const { perSecond } = await saturate(target, { ...SATURATING, seconds });
    requests += perSecond * seconds;
    const done = !compilesAtWork(variant) || requests >= warmUpRequests || spent >= warmUpLimitSeconds;
    if (done) return perSecond;
    await holdRate(target, { rate: GENTLE_RATE, seconds: singleSeconds });
    await saturate(target, { connections: 1, requestsAtOnce: 1, seconds: singleSeconds });
  }
}

/** Programs that run on Bun. */
function compilesAtWork({ processor }: Variant): boolean {
  if (processor.kind === "peer") return processor.name === "ceiling" || processor.name === "grpc-js";
  return processor.kind === "engine";
}

interface CpuReport extends LoadReport {
  readonly envoyCpu: number;
  readonly processorCpu: number;
  readonly upstreamCpu: number;
}

/** Before and behind the load all three are idle, so that what they use in between is the load's. */
async function withCpu(
  load: () => Promise<LoadReport>,
  { rig, bench }: { rig: Rig; bench: Bench },
): Promise<CpuReport> {
  const pids = [rig.envoy.pid, rig.processor?.pid, bench.upstream.pid];
  const readings = () => pids.map((pid) => (pid === undefined ? new Map<string, number>() : readCpu(pid)));
  const before = readings();
  const report = await load();
  const [envoyCpu, processorCpu, upstreamCpu] = readings().map(
    (after, index) => cpuBetween(before[index]!, after) / 1000 / report.requests,
  );
  return { ...report, envoyCpu: envoyCpu!, processorCpu: processorCpu!, upstreamCpu: upstreamCpu! };
}
