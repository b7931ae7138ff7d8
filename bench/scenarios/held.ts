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
const TOO_EARLY = "Cannot hold exchanges open: some were answered before all were there";
/** Streams on one connection from the client; Envoy allows 1024 and more, h2load's own bound is reached later. */
const ON_ONE_CONNECTION = 100;

/** Envoy has a connection to the upstream for each, the upstream has the other end; and both have some more. */
const OTHER_FILES = 500;

/** Exchanges that all wait for their response at one moment, and then all get it. */
export async function holdExchanges({
  bench,
  settings,
  note,
  signal,
}: ScenarioContext): Promise<NonNullable<Scenarios["held"]>> {
  const exchanges = settings.heldExchanges;
  const files = Number(/^Max open files\s+(\d+)/m.exec(await Bun.file("/proc/self/limits").text())?.[1]);
  if (files < exchanges + OTHER_FILES) {
    throw new Error(
      `Cannot hold ${exchanges} exchanges open: ${files} files may be open at a time, "ulimit -n ${exchanges + OTHER_FILES}" is needed`,
    );
  }
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
    const load = holdOpen(target, { requests: exchanges, onOneConnection: ON_ONE_CONNECTION });
    let open = true;
    const close = () => {
      open = false;
    };
    load.then(close, close);
    while (open && upstream.held < exchanges) {
      signal.throwIfAborted();
      await Bun.sleep(LOOK_EVERY_MS);
    }
    const held = upstream.held;
    note(`${held} exchanges are held open`);
    const resident = await residentMemory(pid);
    upstream.release();
    const { requests: answered } = await load;
    if (held < exchanges) throw new Error(TOO_EARLY);
    return { exchanges, answered, heldMB: resident / MEGABYTE };
  } finally {
    await rig.stop();
    upstream.stop();
  }
}
