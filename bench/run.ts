/** Runs the benchmark: all variants warmed up, then every one once a round, then the scenarios. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { findEnvoy } from "../scripts/fetch-envoy.ts";
import { Child } from "../test/helpers/child.ts";
import { waitFor } from "../test/helpers/wait.ts";
import { buildEngine } from "./engine/build.ts";
import { h2loadVersion } from "./load/h2load.ts";
import { requestHeaders } from "./load/work.ts";
import { describePlan, onCores, planCores } from "./measure/cores.ts";
import { describeMachine, readBusy } from "./measure/machine.ts";
import type { Bench } from "./measure/rig.ts";
import type { Sample } from "./measure/sample.ts";
import type { BenchSettings } from "./measure/settings.ts";
import { measureStand, prepareStand, type Stand } from "./measure/stand.ts";
import { buildPeer, type Peer, type PeerName } from "./peers/build.ts";
import { COMPARED } from "./report/goals.ts";
import type { BenchResult, LeftOut, VariantResult } from "./report/result.ts";
import { runScenarios, type ScenarioName } from "./scenarios/scenarios.ts";
import { makeToken } from "./variants/token.ts";
import type { Variant } from "./variants/variant.ts";
import { allVariants } from "./variants/variants.ts";

/** How long the machine is watched before a run, to say whether it was quiet. */
const QUIET_CHECK_MS = 2_000;

export interface RunOptions {
  readonly settings: BenchSettings;
  /** Names of variants; each round measures them in their order or the reverse. */
  readonly variants: ReadonlySet<string>;
  readonly scenarios: readonly ScenarioName[];
  /** Whether peers are built; otherwise only those that are there already run. */
  readonly buildPeers: boolean;
  /** Where remarks go. */
  readonly note: (line: string) => void;
  readonly signal: AbortSignal;
}

/**
 * Measures everything that was asked for.
 * @throws {Error} If something that is needed is missing, or a variant does not do its work.
 */
export async function runBench(options: RunOptions): Promise<BenchResult> {
  const { settings, note } = options;
  const h2load = await h2loadVersion();
  const envoy = await findEnvoy({ note });
  const token = await makeToken();
  const asked = allVariants(token).filter(({ name }) => options.variants.has(name));
  const { peers, leftOut } = await preparePeers(asked, options);
  note("Compiling the engine");
  const engine = await buildEngine();
  const variants = asked.filter(
    ({ processor }) => processor.kind !== "peer" || !leftOut.some(({ name }) => name === processor.name),
  );
  const cores = describeMachine().cores;
  const pins = Bun.which("taskset") !== null;
  if (!pins) note('Programs are not pinned to cores: "taskset" (util-linux) is not on PATH');
  const plans = new Map(
    settings.workers.map((workers) => [workers, pins ? planCores(cores, workers) : undefined]),
  );
  const busyBefore = await busyShare();
  if (busyBefore > 0.1) {
    note(`The machine is not quiet: ${Math.round(busyBefore * 100)} % of it is at work, figures will be off`);
  }
  const upstream = await startUpstream(plans.values().next().value?.rest);
  const folder = await mkdtemp(join(tmpdir(), "policy-engine-bench-"));
  try {
    const bench: Bench = { token, headers: requestHeaders(token.token), engine, peers, upstream };
    const { results, failures, rates } = await measureRounds(variants, { ...options, bench, plans, folder });
    const scenarios = await runScenarios(options.scenarios, {
      bench,
      settings,
      note,
      signal: options.signal,
    });
    return {
      date: new Date().toISOString().slice(0, 10),
      commit: await commitOf(),
      machine: describeMachine(),
      busyBefore,
      versions: { Envoy: envoy.version, Bun: Bun.version, h2load, ...versionsOf(peers) },
      settings,
      rates,
      cores: Object.fromEntries([...plans].map(([workers, plan]) => [workers, describePlan(plan)])),
      variants: results,
      scenarios: scenarios.results,
      leftOut,
      failures: [...failures, ...scenarios.failures],
    };
  } finally {
    await upstream.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

async function preparePeers(
  variants: readonly Variant[],
  { buildPeers, note }: RunOptions,
): Promise<{ peers: Map<PeerName, Peer>; leftOut: LeftOut[] }> {
  const peers = new Map<PeerName, Peer>();
  const leftOut: LeftOut[] = [];
  const names = new Set(
    variants.flatMap(({ processor }) => (processor.kind === "peer" ? processor.name : [])),
  );
  for (const name of names) {
    note(`Building ${name}`);
    const peer = await buildPeer(name, { fresh: buildPeers });
    peers.set(name, peer);
    if ("leftOut" in peer) {
      leftOut.push({ name, reason: peer.leftOut });
      note(`Left out: ${name}: ${peer.leftOut}`);
    }
  }
  return { peers, leftOut };
}

interface RoundOptions extends RunOptions {
  readonly bench: Bench;
  readonly plans: ReadonlyMap<number, ReturnType<typeof planCores>>;
  readonly folder: string;
}

interface Rounds {
  readonly results: (VariantResult & { readonly samples: Sample[] })[];
  readonly failures: LeftOut[];
  /** The steady rate, by number of workers. */
  readonly rates: Record<number, number>;
}

/** All variants are started and warmed up; then each is measured for a moment, and again, round after round. */
async function measureRounds(variants: readonly Variant[], options: RoundOptions): Promise<Rounds> {
  const { settings, note } = options;
  const rounds: Rounds = { results: [], failures: [], rates: {} };
  for (const workers of settings.workers) {
    const wanted = workers === 1 ? variants : variants.filter(({ name }) => COMPARED.has(name));
    const stands: Stand[] = [];
    try {
      for (const variant of wanted) await addStand(stands, variant, { ...options, workers, rounds });
      const rate = commonRate(stands, settings.rate);
      rounds.rates[workers] = rate;
      note(`The steady rate is ${rate} requests a second`);
      for (const { variant } of stands) rounds.results.push(emptyResult(variant, workers));
      for (let round = 1; round <= settings.rounds; round += 1) {
        await measureRound(stands, { ...options, workers, rounds, rate, round });
      }
    } finally {
      for (const { rig } of stands) await rig.stop();
    }
  }
  return rounds;
}

function emptyResult({ name, title, bodyBytes }: Variant, workers: number): Rounds["results"][number] {
  return { ...{ name, title, workers, samples: [] }, ...(bodyBytes !== undefined && { bodyBytes }) };
}

async function addStand(
  stands: Stand[],
  variant: Variant,
  options: RoundOptions & { workers: number; rounds: Rounds },
): Promise<void> {
  const { bench, settings, plans, folder, workers, rounds, note, signal } = options;
  signal.throwIfAborted();
  const where = `Warm-up, workers ${workers}`;
  try {
    const body = await bodyFile(folder, variant.bodyBytes);
    const stand = await prepareStand(variant, bench, { settings, workers, body, plan: plans.get(workers) });
    stands.push(stand);
    note(`${where}: ${variant.name.padEnd(22)} ${stand.perSecond.toFixed(0).padStart(6)} req/s`);
  } catch (error) {
    signal.throwIfAborted();
    noteFailure(variant, `${where}: ${messageOf(error)}`, { rounds, note });
  }
}

async function measureRound(
  stands: readonly Stand[],
  options: RoundOptions & { workers: number; rounds: Rounds; rate: number; round: number },
): Promise<void> {
  const { bench, settings, workers, rounds, rate, round, note, signal } = options;
  const where = `Round ${round}/${settings.rounds}, workers ${workers}`;
  // There and back: what drifts while a round lasts hits first and last alike.
  for (const stand of round % 2 === 1 ? stands : stands.toReversed()) {
    signal.throwIfAborted();
    const { variant } = stand;
    try {
      const sample = await measureStand(stand, { bench, settings, rate });
      rounds.results.find((of) => of.name === variant.name && of.workers === workers)!.samples.push(sample);
      note(`${where}: ${progress(variant.name, sample)}`);
    } catch (error) {
      signal.throwIfAborted();
      noteFailure(variant, `${where}: ${messageOf(error)}`, { rounds, note });
    }
  }
}

/** What was asked for, or what leaves the slowest variant half of its time where that is less. */
function commonRate(stands: readonly Stand[], most: number): number {
  const slowest = Math.min(
    ...stands.filter(({ variant }) => variant.bodyBytes === undefined).map(({ perSecond }) => perSecond),
  );
  return slowest / 2 >= most ? most : Math.max(100, Math.floor(slowest / 200) * 100);
}

function noteFailure(
  { name }: Variant,
  reason: string,
  { rounds, note }: { rounds: Rounds; note: RunOptions["note"] },
): void {
  rounds.failures.push({ name, reason });
  note(`Failed: ${name}, ${reason}`);
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function progress(name: string, sample: Sample): string {
  const show = (value: number | undefined, digits = 0) => value?.toFixed(digits) ?? "-";
  return [
    `${name.padEnd(22)} ${show(sample["saturated.perSecond"]).padStart(6)} req/s`,
    `CPU us ${show(sample["saturated.processorCpu"], 1).padStart(5)} saturated`,
    `${show(sample["steady.processorCpu"], 1).padStart(5)} steady (Envoy ${show(sample["steady.envoyCpu"], 1)})`,
    `p50/p99 ${show(sample["steady.p50"])}/${show(sample["steady.p99"])} us`,
  ].join(", ");
}

async function bodyFile(folder: string, bytes: number | undefined): Promise<string | undefined> {
  if (bytes === undefined) return undefined;
  const path = join(folder, `body-${bytes}`);
  await Bun.write(path, "x".repeat(bytes));
  return path;
}

async function startUpstream(
  cores: string | undefined,
): Promise<Bench["upstream"] & { stop(): Promise<unknown> }> {
  const child = new Child(onCores(cores, [process.execPath, resolve(import.meta.dir, "upstream.ts")]));
  const port = await waitFor("ready upstream", () => {
    if (child.exitCode !== undefined) throw new Error(`Cannot start the upstream\n${child.output()}`);
    return /^ready (\d+)$/.exec(child.lines[0] ?? "")?.[1];
  });
  return { pid: child.pid, port: Number(port), stop: () => child.kill() };
}

async function busyShare(): Promise<number> {
  const before = readBusy();
  await Bun.sleep(QUIET_CHECK_MS);
  const after = readBusy();
  return (after.busy - before.busy) / (after.all - before.all);
}

function versionsOf(peers: ReadonlyMap<PeerName, Peer>): Record<string, string> {
  return Object.fromEntries(
    [...peers].flatMap(([name, peer]) => ("version" in peer ? [[name, peer.version]] : [])),
  );
}

async function commitOf(): Promise<string> {
  const git = Bun.spawn(["git", "rev-parse", "--short", "HEAD"], { stdout: "pipe", stderr: "ignore" });
  return (await git.stdout.text()).trim() || "unknown";
}
