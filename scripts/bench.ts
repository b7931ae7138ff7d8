/**
 * The benchmark: Envoy with the engine, with the peers and by itself, in one run on one machine. See bench/README.md.
 */
import { join, resolve } from "node:path";
import { type BenchOptions, parseOptions, USAGE } from "../bench/options.ts";
import { writeReport } from "../bench/report/write-report.ts";
import { runBench } from "../bench/run.ts";
import { killAllNow } from "../test/helpers/child.ts";

const PROJECT = resolve(import.meta.dir, "..");
const EXIT = { measured: 0, failed: 1, usage: 2, interrupted: 130 };

/** @returns Whether everything that was asked for and is there was measured. */
async function main(options: BenchOptions, signal: AbortSignal): Promise<boolean> {
  const begun = performance.now();
  const note = (line: string) => {
    const seconds = Math.round((performance.now() - begun) / 1000);
    console.error(`${String(seconds).padStart(5)} s  ${line}`);
  };
  const result = await runBench({ ...options, note, signal });
  const output = options.output ?? join(PROJECT, options.whole ? "bench/results" : ".cache/bench/results");
  for (const file of await writeReport(result, output)) note(`Wrote ${file}`);
  return result.failures.length === 0;
}

const interrupted = new AbortController();
for (const name of ["SIGINT", "SIGTERM"] as const) {
  process.once(name, () => {
    interrupted.abort();
    // Whatever waits for one of them fails now, and the way out cleans up.
    killAllNow();
  });
}
const parsed = parseOptions(process.argv.slice(2));
if (parsed.kind === "text") {
  console.log(parsed.text);
} else if (parsed.kind === "usage") {
  console.error(`${parsed.message}\n\n${USAGE}`);
  process.exitCode = EXIT.usage;
} else {
  try {
    const whole = await main(parsed.options, interrupted.signal);
    process.exitCode = whole ? EXIT.measured : EXIT.failed;
  } catch (error) {
    console.error(
      interrupted.signal.aborted ? "Interrupted" : error instanceof Error ? error.message : error,
    );
    process.exitCode = interrupted.signal.aborted ? EXIT.interrupted : EXIT.failed;
  }
}
