// The program. The builder generates the module that calls it; by hand it is:
//
//   import { main } from "policy-engine/runtime/main.ts";
//   await main([{ name, version, definition, sourcePath, integrity, load: () => import("./policy.ts") }], build);
import { runCli } from "./cli/cli.ts";
import { EXIT, wantsColours } from "./cli/cli-context.ts";
import { LineWriter } from "./observability/line-writer.ts";
import type { BuildInfo, RegistryEntry } from "./policy/registry.ts";

/** How long the end waits for a reader of our output that is slow. */
const DRAIN_MS = 1_000;
/** Until then hardly anything runs twice, and the builder has machine code made of little: see compile.ts there. */
const START_UP_MS = 100;

/** Runs the command line of this process and ends the process. */
export async function main(policies: readonly RegistryEntry[], build: BuildInfo): Promise<void> {
  setTimeout(() => Bun.unsafe.setJITPolicy(1), START_UP_MS).unref();
  const out = new LineWriter(Bun.stdout.writer());
  const err = new LineWriter(Bun.stderr.writer());
  // The only exit of the engine: whatever runs returns its code to here.
  process.exit(await run({ out, err, policies, build }));
}

interface Run {
  readonly out: LineWriter;
  readonly err: LineWriter;
  readonly policies: readonly RegistryEntry[];
  readonly build: BuildInfo;
}

async function run({ out, err, policies, build }: Run): Promise<number> {
  const terminal = process.stdout.isTTY === true;
  const colours = wantsColours(terminal, process.env);
  let exitCode: number;
  try {
    const io = { out: out.write, err: err.write, colours, terminal };
    exitCode = await runCli(process.argv.slice(2), { policies, build, io });
  } catch (error) {
    err.write(`policy-engine: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
    exitCode = EXIT.cannotStart;
  }
  await Promise.all([out.drain(DRAIN_MS), err.drain(DRAIN_MS)]);
  return exitCode;
}
