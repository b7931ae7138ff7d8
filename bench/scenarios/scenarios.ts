// What is measured once, beside the rounds.
import type { Bench } from "../measure/rig.ts";
import type { BenchSettings } from "../measure/settings.ts";
import type { LeftOut, Scenarios } from "../report/result.ts";
import { holdExchanges } from "./held.ts";
import { soak } from "./soak.ts";
import { startUps } from "./start-up.ts";
import { tenThousandASecond } from "./ten-thousand.ts";

export const SCENARIOS = ["start-up", "held", "ten-thousand", "soak"] as const;
export type ScenarioName = (typeof SCENARIOS)[number];

export interface ScenarioContext {
  readonly bench: Bench;
  readonly settings: BenchSettings;
  readonly note: (line: string) => void;
  readonly signal: AbortSignal;
}

export async function runScenarios(
  names: readonly ScenarioName[],
  context: ScenarioContext,
): Promise<{ results: Scenarios; failures: LeftOut[] }> {
  const { note, signal } = context;
  let results: Scenarios = {};
  const failures: LeftOut[] = [];
  for (const name of SCENARIOS) {
    if (!names.includes(name)) continue;
    signal.throwIfAborted();
    note(`Scenario ${name}`);
    try {
      results = { ...results, ...(await run(name, context)) };
    } catch (error) {
      signal.throwIfAborted();
      const reason = error instanceof Error ? error.message : String(error);
      failures.push({ name, reason });
      note(`Failed: ${name}: ${reason}`);
    }
  }
  return { results, failures };
}

async function run(name: ScenarioName, context: ScenarioContext): Promise<Scenarios> {
  switch (name) {
    case "start-up":
      return { startUp: await startUps(context) };
    case "held":
      return { held: await holdExchanges(context) };
    case "ten-thousand":
      return { tenThousand: await tenThousandASecond(context) };
    case "soak":
      return context.settings.soakRequests === 0 ? {} : { soak: await soak(context) };
  }
}
