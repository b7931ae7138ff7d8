/**
 * Runs every test, also those through the real Envoy, and ends with one line: `N passed, N failed, N skipped`.
 * Arguments go to `bun test`.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";

/** For one test. A machine under load must not turn a test that would pass into one that fails. */
const TIMEOUT_MS = 60_000;

export interface Totals {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

/** Runs `bun test` in a folder; what it prints goes straight on. */
export async function runTests(folder: string, args: readonly string[] = []): Promise<Totals> {
  const work = await mkdtemp(join(tmpdir(), "policy-engine-test-"));
  try {
    const report = join(work, "junit.xml");
    const child = Bun.spawn(
      [
        process.execPath,
        "test",
        `--timeout=${TIMEOUT_MS}`,
        "--reporter=junit",
        `--reporter-outfile=${report}`,
        ...args,
      ],
      { cwd: folder, stdin: "ignore", stdout: "inherit", stderr: "inherit" },
    );
    const code = await child.exited;
    const file = Bun.file(report);
    return totalsOf((await file.exists()) ? await file.text() : "", code);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

/** Sums a JUnit report. A run that failed without a failed test, or ran none, counts as one failure. */
export function totalsOf(report: string, exitCode: number): Totals {
  const root = /<testsuites [^>]*>/.exec(report)?.[0] ?? "";
  const [tests, failures, skipped] = ["tests", "failures", "skipped"].map((name) =>
    Number(new RegExp(` ${name}="(\\d+)"`).exec(root)?.[1] ?? 0),
  ) as [number, number, number];
  const wrong = exitCode !== 0 || tests === 0;
  return {
    passed: tests - failures - skipped,
    failed: failures === 0 && wrong ? 1 : failures,
    skipped,
  };
}

if (import.meta.main) {
  const project = resolve(import.meta.dir, "..");
  const { passed, failed, skipped } = await runTests(project, process.argv.slice(2));
  const line = `${passed} passed, ${failed} failed, ${skipped} skipped`;
  // For .ci/run, which must end with this line though make has more to say.
  await Bun.write(join(project, ".cache/test-totals"), `${line}\n`);
  console.log(line);
  if (failed > 0) process.exitCode = 1;
}
