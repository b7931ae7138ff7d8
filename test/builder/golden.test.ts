// Every mistake a person can make in what the builder reads has a file in test/golden/builder: the input files,
// each after a line "--- path", and after "===" what the builder says. UPDATE_GOLDEN=1 writes the latter anew.
import { afterAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { build } from "../../builder/build.ts";
import { exitCodeOf } from "../../builder/phase.ts";
import { formatProblem } from "../../runtime/document/problem.ts";
import { existsSync, removeFolders, temporaryFolder, writeFiles } from "./folders.ts";

const FOLDER = join(import.meta.dir, "..", "golden", "builder");
const UPDATE = process.env.UPDATE_GOLDEN === "1";

afterAll(removeFolders);
setDefaultTimeout(120_000);

describe("FR-044: golden error reports", () => {
  const cases = readdirSync(FOLDER).filter((file) => file.endsWith(".txt"));

  test("FR-035, FR-036, FR-037, FR-038, FR-039, FR-040 have cases, named after them", () => {
    for (const id of ["FR-035", "FR-036", "FR-037", "FR-038", "FR-039", "FR-040"]) {
      expect(cases.filter((file) => file.startsWith(`${id}-`))).not.toEqual([]);
    }
  });

  for (const file of cases.toSorted()) {
    test(basename(file, ".txt"), async () => {
      const text = readFileSync(join(FOLDER, file), "utf8");
      const [input = "", expected = ""] = text.split(/^===\n/m);
      const cwd = temporaryFolder();
      writeFiles(cwd, parseFiles(input));

      const actual = await say(cwd);

      if (UPDATE) writeFileSync(join(FOLDER, file), `${input}===\n${actual}`);
      else expect(actual).toBe(expected);
      expect(existsSync(join(cwd, "out"))).toBe(false);
    });
  }
});

async function say(cwd: string): Promise<string> {
  const selection = existsSync(join(cwd, "manifest.yaml"))
    ? { manifest: "manifest.yaml" }
    : { policiesDirs: ["policies"] };
  const report = await build({ ...selection, output: "out", cwd });
  if (report.ok) throw new Error("the build succeeded");
  const lines = [...report.problems.map(formatProblem), report.error, `exit ${exitCodeOf(report.phase!)}`];
  return `${lines.join("\n")}\n`;
}

function parseFiles(input: string): Record<string, string> {
  const files: Record<string, string> = {};
  for (const part of input.split(/^--- /m).slice(1)) {
    const end = part.indexOf("\n");
    files[part.slice(0, end)] = part.slice(end + 1);
  }
  return files;
}
