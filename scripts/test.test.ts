import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { totalsOf } from "./test.ts";

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "policy-engine-runner-"));
});

afterEach(() => rm(folder, { recursive: true, force: true }));

/** Runs the script's own function as a program, so that its output does not mix with this test's. */
async function run(files: Readonly<Record<string, string>>): Promise<string> {
  for (const [name, text] of Object.entries(files)) {
    await Bun.write(join(folder, name), `import { expect, test } from "bun:test";\n${text}`);
  }
  const main = `import { runTests } from ${JSON.stringify(join(import.meta.dir, "test.ts"))};
    console.log(JSON.stringify(await runTests(${JSON.stringify(folder)})));`;
  const child = Bun.spawn([process.execPath, "-e", main], { stdout: "pipe", stderr: "ignore" });
  return (await child.stdout.text()).trim().split("\n").at(-1) ?? "";
}

test("runTests() sums passed, failed and skipped tests of all files", async () => {
  const totals = await run({
    "a.test.ts": 'test("p", () => {}); test("f", () => expect(1).toBe(2)); test.skip("s", () => {});',
    "b.test.ts": 'test("p", () => {});',
  });
  expect(totals).toBe('{"passed":2,"failed":1,"skipped":1}');
});

test("runTests() fails when a file does not load, though no test failed", async () => {
  const totals = await run({
    "a.test.ts": 'test("p", () => {});',
    "b.test.ts": 'throw new Error("on purpose");',
  });
  expect(totals).toBe('{"passed":1,"failed":1,"skipped":0}');
});

test("runTests() fails when there is no test", async () => {
  expect(await run({})).toBe('{"passed":0,"failed":1,"skipped":0}');
});

test("totalsOf() counts a run without a report as failed", () => {
  expect(totalsOf("", 0)).toEqual({ passed: 0, failed: 1, skipped: 0 });
});
