// The programs of one variant at work: Envoy in front, the processor beside it; the upstream is there already.
import { Child } from "../../test/helpers/child.ts";
import { startEngine } from "../../test/helpers/engine.ts";
import { type RunningEnvoy, startEnvoy } from "../../test/helpers/envoy.ts";
import { freePort } from "../../test/helpers/ports.ts";
import { waitFor } from "../../test/helpers/wait.ts";
import { ROUTE, SHOW_PATH } from "../load/work.ts";
import type { Peer, PeerName } from "../peers/build.ts";
import { envoyFor, MESSAGE_TIMEOUT_MS } from "../variants/envoy.ts";
import type { Variant } from "../variants/variant.ts";
import type { TokenFacts } from "../variants/variants.ts";
import { type CorePlan, onCores } from "./cores.ts";

/** What all variants share. */
export interface Bench {
  readonly token: TokenFacts & { readonly token: string };
  readonly headers: readonly (readonly [name: string, value: string])[];
  /** The engine with the policies of the benchmark. */
  readonly engine: string;
  readonly peers: ReadonlyMap<PeerName, Peer>;
  readonly upstream: { readonly pid: number; readonly port: number };
}

export interface Rig {
  readonly envoy: RunningEnvoy;
  /** Undefined: the variant has none. */
  readonly processor: { readonly pid: number } | undefined;
  stop(): Promise<void>;
}

export interface RigOptions {
  readonly workers: number;
  readonly plan: CorePlan | undefined;
  /** Where the upstream listens. Default: the bench's own. */
  readonly upstreamPort?: number;
}

interface RunningProcessor {
  readonly pid: number;
  readonly port: number | undefined;
  stop(): Promise<unknown>;
}

/**
 * Starts a variant and sees by one request that it does what it is measured for.
 * @throws {Error} If it does not.
 */
export async function startRig(variant: Variant, bench: Bench, options: RigOptions): Promise<Rig> {
  const { workers, plan } = options;
  const processor = await startProcessor(variant, bench, options);
  const stops: (() => Promise<unknown>)[] = [async () => processor?.stop()];
  const stop = async () => {
    for (const end of stops.splice(0).reverse()) await end();
  };
  try {
    const envoy = await startEnvoy({
      config: envoyFor(variant, {
        ...bench.token,
        upstreamPort: options.upstreamPort ?? bench.upstream.port,
        processorPort: processor?.port,
      }),
      concurrency: workers,
      runner: onCores(plan?.envoy, []),
    });
    stops.push(() => envoy.stop());
    await proveWork(variant, { bench, envoy });
    return { envoy, processor, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function startProcessor(
  { processor }: Variant,
  bench: Bench,
  { plan, workers }: RigOptions,
): Promise<RunningProcessor | undefined> {
  const runner = onCores(plan?.processor, []);
  if (processor.kind === "none") return undefined;
  const port = await freePort();
  if (processor.kind === "engine") {
    const extProc = { address: `127.0.0.1:${port}`, messageTimeout: `${MESSAGE_TIMEOUT_MS}ms` };
    const engine = await startEngine({
      executable: bench.engine,
      routes: [{ route: ROUTE, policies: processor.policies as { name: string }[] }],
      config: { extProc, log: { level: "warn", format: "json" } },
      runner,
    });
    return { pid: engine.pid, port, stop: () => engine.stop() };
  }
  const peer = bench.peers.get(processor.name);
  if (peer === undefined || "leftOut" in peer)
    throw new Error(`Cannot run "${processor.name}": it is not built`);
  const child = new Child([
    ...[...runner, peer.executable, "--port", String(port)],
    ...(processor.name === "tonic" ? ["--threads", String(workers)] : []),
    ...(processor.bodies === true ? ["--bodies"] : []),
  ]);
  try {
    await waitFor(`ready ${processor.name}`, () => {
      if (child.exitCode !== undefined)
        throw new Error(`Cannot start ${processor.name}: it exited\n${child.output()}`);
      return child.lines.includes("ready");
    });
  } catch (error) {
    await child.kill();
    throw error;
  }
  return { pid: child.pid, port, stop: () => child.kill() };
}

/** The upstream shows the request as it came there; the response has what was set on it. */
async function proveWork(
  variant: Variant,
  { bench, envoy }: { bench: Bench; envoy: RunningEnvoy },
): Promise<void> {
  const { bodyBytes, sets } = variant;
  const response = await fetch(`http://127.0.0.1:${envoy.port}${SHOW_PATH}`, {
    headers: Object.fromEntries(bench.headers),
    ...(bodyBytes !== undefined && { method: "POST", body: "x".repeat(bodyBytes) }),
  });
  const seen = (await response.text()).toLowerCase();
  const missing = [
    ...sets.request.filter((name) => !seen.includes(`\r\n${name}: `)),
    ...sets.response.filter((name) => !response.headers.has(name)),
    ...(bodyBytes === undefined || seen.endsWith(`\r\nbody: ${bodyBytes}`) ? [] : ["the body"]),
  ];
  if (response.status !== 200 || missing.length > 0) {
    throw new Error(
      `Cannot measure "${variant.name}": a request is answered with ${response.status} and lacks ${missing.join(", ") || "nothing"}`,
    );
  }
}
