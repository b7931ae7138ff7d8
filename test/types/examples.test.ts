import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { checkTypes, root } from "./check.ts";
import { examplesIn, findExamples } from "./examples.ts";

const found = [...(await findExamples("sdk")), ...(await findExamples("testing"))];
// Within the project, so that examples import the packages as a reader would.
const folder = join(root, ".cache", `examples-${process.pid}`);
const files = found.map(({ file, line, code }) => {
  const kind = code.includes('from "bun:test"') ? "test.ts" : "ts";
  return join(folder, `${file.replaceAll("/", "-")}-${line}.${kind}`);
});

beforeAll(async () => {
  await mkdir(folder, { recursive: true });
  await Promise.all(found.map(({ code }, index) => Bun.write(files[index]!, `${code}\n`)));
});

afterAll(() => rm(folder, { recursive: true, force: true }));

test("the packages show examples, in docstrings and in their README", () => {
  const shown = new Set(found.map(({ file }) => file));
  for (const file of [
    "sdk/policy.ts",
    "sdk/respond.ts",
    "testing/test-chain.ts",
    "sdk/README.md",
    "testing/README.md",
  ]) {
    expect(shown).toContain(file);
  }
});

test("every example type-checks", async () => {
  const { errors, output } = await checkTypes(files);
  const broken = files.filter((file) => errors.has(file));
  expect(broken, output).toEqual([]);
});

for (const [index, { file, line }] of found.entries()) {
  test(`the example at ${file}:${line} runs`, async () => {
    const path = files[index]!;
    const command = path.endsWith(".test.ts") ? ["test", path] : ["run", path];
    const run = Bun.spawn([process.execPath, ...command], { cwd: root, stdout: "pipe", stderr: "pipe" });
    const [stdout, stderr, exitCode] = await Promise.all([run.stdout.text(), run.stderr.text(), run.exited]);
    expect(exitCode, stdout + stderr).toBe(0);
    if (path.endsWith(".test.ts")) expect(stderr).toMatch(/^ [1-9]\d* pass$/m);
  });
}

test("examplesIn() takes comment stars away and leaves other languages out", () => {
  const source = [
    "/**",
    " * ```ts",
    " * const a = 1;",
    " *",
    " *   a;",
    " * ```",
    " * ```yaml",
    " * a: 1",
    " * ```",
    " */",
  ];
  expect(examplesIn(source.join("\n"), "a.ts")).toEqual([
    { file: "a.ts", line: 2, code: "const a = 1;\n\n  a;" },
  ]);
  expect(examplesIn("```ts\nlet b;\n```", "b.md")).toEqual([{ file: "b.md", line: 1, code: "let b;" }]);
  expect(() => examplesIn("```ts\nlet b;", "b.md")).toThrow("Cannot read the example at b.md:1");
});
