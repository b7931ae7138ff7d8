/**
 * Runs the micro benchmarks: parts of the engine by themselves, each variant in a process of its own. Arguments are
 * names of parts, default all.
 */
import { join, resolve } from "node:path";

const PROJECT = resolve(import.meta.dir, "..");

/** What is measured of a part, each by a process: a script below bench/ and its arguments. */
export const PARTS: Readonly<Record<string, readonly (readonly string[])[]>> = {
  kernel: ["empty", "1", "5", "5-cel"].map((variant) => ["kernel/exchange.ts", variant]),
  cel: [["cel/compare.ts"]],
  transport: [["transport/headers.ts"], ["transport/compare.ts"]],
  policies: ["edge-policies", "jwt-validation", "rate-limiting"].map((name) => [`policies/${name}.ts`]),
};

async function run(part: string): Promise<boolean> {
  let good = true;
  console.log(`\n# ${part}`);
  for (const [script = "", ...args] of PARTS[part] ?? []) {
    console.error(`bun bench/${[script, ...args].join(" ")}`);
    const child = Bun.spawn([process.execPath, join(PROJECT, "bench", script), ...args], {
      stdin: "ignore",
      stdout: "inherit",
      stderr: "inherit",
    });
    if ((await child.exited) !== 0) good = false;
  }
  return good;
}

if (import.meta.main) {
  const names = process.argv.slice(2);
  const unknown = names.filter((name) => PARTS[name] === undefined);
  if (unknown.length > 0) {
    console.error(
      `Cannot measure "${unknown.join('", "')}": there is no such part, some of ${Object.keys(PARTS).join(", ")} are needed`,
    );
    process.exitCode = 2;
  } else {
    for (const part of names.length === 0 ? Object.keys(PARTS) : names) {
      if (!(await run(part))) process.exitCode = 1;
    }
  }
}
