import { residentMemory } from "../../test/integration/scale-figures.ts";
import { saturate } from "../load/h2load.ts";
import { PATH } from "../load/work.ts";
import { startRig } from "../measure/rig.ts";
import { SATURATING } from "../measure/settings.ts";
import type { Scenarios } from "../report/result.ts";
import { variantNamed } from "../variants/variants.ts";
import type { ScenarioContext } from "./scenarios.ts";

const VARIANT = "engine-5-cel";
const SECONDS_A_SAMPLE = 10;
const MEGABYTE = 1e6;

/** As many requests as an hour brings, as fast as they go through, with a look at the memory every ten seconds. */
export async function soak({
  bench,
  settings,
  note,
  signal,
}: ScenarioContext): Promise<NonNullable<Scenarios["soak"]>> {
  const rig = await startRig(variantNamed(VARIANT, bench.token), bench, { workers: 1, plan: undefined });
  try {
    const { port } = rig.envoy;
    const target = { port, path: PATH, headers: bench.headers, body: undefined, cores: undefined };
    const residentMB: number[] = [];
    let requests = 0;
    while (requests < settings.soakRequests) {
      signal.throwIfAborted();
      requests += (await saturate(target, { ...SATURATING, seconds: SECONDS_A_SAMPLE })).requests;
      residentMB.push((await residentMemory(rig.processor!.pid)) / MEGABYTE);
      note(`${requests} of ${settings.soakRequests} requests, ${residentMB.at(-1)?.toFixed(0)} MB`);
    }
    return { requests, residentMB };
  } finally {
    await rig.stop();
  }
}
