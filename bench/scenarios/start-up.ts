import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { stringify } from "yaml";
import { freePort } from "../../test/helpers/ports.ts";
import { residentMemory } from "../../test/integration/scale-figures.ts";
import { ROUTE } from "../load/work.ts";
import type { Scenarios } from "../report/result.ts";
import { fivePolicies } from "../variants/variants.ts";
import type { ScenarioContext } from "./scenarios.ts";

/** What the start took is given back by then. */
const IDLE_AFTER_MS = 2_000;
const MEGABYTE = 1e6;

/** From the start of the process to its line "Ready", and what it has resident before anything is asked of it. */
export async function startUps({
  bench,
  settings,
}: ScenarioContext): Promise<NonNullable<Scenarios["startUp"]>> {
  const folder = await mkdtemp(join(tmpdir(), "policy-engine-bench-"));
  try {
    const config = await writeConfig(folder);
    const readyMs: number[] = [];
    const idleMB: number[] = [];
    for (let start = 0; start < settings.startUps; start += 1) {
      const begun = performance.now();
      const engine = Bun.spawn([bench.engine, "--config", config], {
        stdin: "ignore",
        stdout: "pipe",
        stderr: "inherit",
      });
      try {
        await untilReady(engine.stdout);
        readyMs.push(performance.now() - begun);
        await Bun.sleep(IDLE_AFTER_MS);
        idleMB.push((await residentMemory(engine.pid)) / MEGABYTE);
      } finally {
        engine.kill();
        await engine.exited;
      }
    }
    return { readyMs, idleMB };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function writeConfig(folder: string): Promise<string> {
  const address = async () => ({ address: `127.0.0.1:${await freePort()}` });
  const file = join(folder, "policy-engine.yaml");
  const routes = { path: join(folder, "routes.yaml") };
  await Bun.write(
    file,
    stringify({ extProc: await address(), health: await address(), admin: await address(), routes }),
  );
  await Bun.write(routes.path, stringify({ routes: [{ route: ROUTE, policies: fivePolicies() }] }));
  return file;
}

async function untilReady(output: ReadableStream<Uint8Array>): Promise<void> {
  const decoder = new TextDecoder();
  const reader = output.getReader();
  let text = "";
  try {
    while (!/\bReady\b/.test(text)) {
      const { done, value } = await reader.read();
      if (done) throw new Error(`Cannot start the engine: it ended before it was ready\n${text}`);
      text += decoder.decode(value, { stream: true });
    }
  } finally {
    reader.releaseLock();
  }
}
