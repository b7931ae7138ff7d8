import { residentMemory } from "../../test/integration/scale-figures.ts";
import { holdOpen } from "../load/h2load.ts";
import { HELD_PATH } from "../load/work.ts";
import { startRig } from "../measure/rig.ts";
import type { Scenarios } from "../report/result.ts";
import { startFixedUpstream } from "../upstream.ts";
import { variantNamed } from "../variants/variants.ts";
import type { ScenarioContext } from "./scenarios.ts";

const VARIANT = "engine-5-cel";
const MEGABYTE = 1e6;
const LOOK_EVERY_MS = 100;
/** Streams on one connection from the client; Envoy allows 1024 and more, h2load's own bound is reached later. */
const ON_ONE_CONNECTION = 100;

/** Exchanges that all wait for their response at one moment, and then all get it. */
export async function holdExchanges({
  bench,
  settings,
  note,
  signal,
}: ScenarioContext): Promise<NonNullable<Scenarios["held"]>> {
  const exchanges = settings.heldExchanges;
  const upstream = startFixedUpstream();
  const rig = await startRig(variantNamed(VARIANT, bench.token), bench, {
    ...{ workers: 1, plan: undefined, upstreamPort: upstream.port },
  });
  try {
    const pid = rig.processor!.pid;
    const target = {
      ...{ port: rig.envoy.port, path: HELD_PATH, headers: bench.headers },
      ...{ body: undefined, cores: undefined },
    };
    let over = false;
    const load = holdOpen(target, { requests: exchanges, onOneConnection: ON_ONE_CONNECTION }).finally(() => {
      over = true;
    });
    while (upstream.held < exchanges && !over && !signal.aborted) await Bun.sleep(LOOK_EVERY_MS);
    const heldMB = (await residentMemory(pid)) / MEGABYTE;
    note(`${upstream.held} exchanges are held open`);
    upstream.release();
    const { requests: answered } = await load;
    return { exchanges, answered, heldMB };
  } finally {
    await rig.stop();
    upstream.stop();
  }
}
