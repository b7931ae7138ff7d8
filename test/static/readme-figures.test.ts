import { expect, test } from "bun:test";
import { join } from "node:path";
import { readmeTable } from "../../bench/report/readme-table.ts";
import type { BenchResult } from "../../bench/report/result.ts";

const PROJECT = join(import.meta.dir, "../..");

test("the figures of the README are those of the benchmark's last results", async () => {
  const result: BenchResult = await Bun.file(join(PROJECT, "bench/results/results.json")).json();
  const readme = await Bun.file(join(PROJECT, "README.md")).text();
  // How wide its columns are drawn is the formatter's.
  const plain = (text: string) => text.replaceAll(/ +/g, " ").replaceAll(/-+/g, "-");
  expect(plain(readme)).toContain(plain(readmeTable(result)));
  expect(readme).toContain("bench/results/report.md");
});
