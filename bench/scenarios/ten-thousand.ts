import { peakMemory } from "../../test/integration/scale-figures.ts";
import { holdRate, saturate } from "../load/h2load.ts";
import { PATH } from "../load/work.ts";
import { startRig } from "../measure/rig.ts";
import { SATURATING } from "../measure/settings.ts";
import { percentile } from "../measure/statistics.ts";
import type { Scenarios } from "../report/result.ts";
import { variantNamed } from "../variants/variants.ts";
import type { ScenarioContext } from "./scenarios.ts";

const VARIANT = "engine-5-cel";
const RATE = 10_000;
const SECONDS = 10;
const MEGABYTE = 1e6;

/**
 * 10,000 requests a second through five policies, not pinned: what an operator gets of this machine. Where so many do
 * not go through, as many as do.
 */
export async function tenThousandASecond({
  bench,
  settings,
}: ScenarioContext): Promise<NonNullable<Scenarios["tenThousand"]>> {
  const rig = await startRig(variantNamed(VARIANT, bench.token), bench, { workers: 2, plan: undefined });
  try {
    const { port } = rig.envoy;
    const target = { port, path: PATH, headers: bench.headers, body: undefined, cores: undefined };
    const most = await saturate(target, { ...SATURATING, seconds: settings.warmUpSeconds });
    const { perSecond, latencies } =
      most.perSecond < RATE
        ? await saturate(target, { ...SATURATING, seconds: SECONDS, log: true })
        : await holdRate(target, { rate: RATE, seconds: SECONDS });
    const peakMB = (await peakMemory(rig.processor!.pid)) / MEGABYTE;
    return { rate: perSecond, p99: percentile(latencies, 0.99), peakMB };
  } finally {
    await rig.stop();
  }
}
