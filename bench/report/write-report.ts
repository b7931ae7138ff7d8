import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { renderChart } from "./chart.ts";
import { renderMarkdown } from "./markdown.ts";
import type { BenchResult } from "./result.ts";

const CHART = "cpu.svg";

/** Writes the report, its chart and the raw figures into a folder and returns their paths. */
export async function writeReport(result: BenchResult, folder: string): Promise<string[]> {
  await mkdir(folder, { recursive: true });
  const files = {
    "report.md": renderMarkdown(result, { chart: CHART }),
    [CHART]: renderChart(result),
    "results.json": `${JSON.stringify(result, null, 2)}\n`,
  };
  const paths: string[] = [];
  for (const [name, text] of Object.entries(files)) {
    const path = join(folder, name);
    await Bun.write(path, text);
    paths.push(path);
  }
  return paths;
}
