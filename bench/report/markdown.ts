import type { Metric } from "../measure/sample.ts";
import { goalsOf, withSpread } from "./goals.ts";
import { type BenchResult, rateOf, summaryOf, type VariantResult } from "./result.ts";

/** The steady rate counts as held to this share of it. */
const HELD = 0.98;
const COLUMNS: readonly (readonly [title: string, metric: Metric])[] = [
  ["CPU us, steady", "steady.processorCpu"],
  ["CPU us, saturated", "saturated.processorCpu"],
  ["Envoy CPU us, steady", "steady.envoyCpu"],
  ["Requests/s", "saturated.perSecond"],
  ["p50 us, steady", "steady.p50"],
  ["p99 us, steady", "steady.p99"],
  ["p50 us, one client", "single.p50"],
  ["p99 us, one client", "single.p99"],
  ["Memory MB", "memory"],
];

/** The report of a run, as Markdown. */
export function renderMarkdown(result: BenchResult, { chart }: { readonly chart: string }): string {
  const parts = [
    "# Benchmark",
    `${result.date}, commit ${result.commit}. Written by \`make bench\`; how it measures is in [bench/README.md](../README.md).`,
    machineTable(result),
    ...remarks(result),
    `![CPU a request](${chart})`,
    "CPU is that of the ext_proc server for one request, in microseconds. A cell is the median of all rounds, then the least and the most.",
    ...result.settings.workers.flatMap((workers) => variantTables(result, workers)),
    "## Goals",
    goalTable(result),
  ];
  return `${parts.join("\n\n")}\n`;
}

function machineTable({ machine, versions, settings, rates, cores, busyBefore }: BenchResult): string {
  const { cpu, cores: count, memoryGiB, kernel, virtual } = machine;
  const rows = [
    ["Processor", `${cpu}, ${count} cores${virtual ? ", virtual machine" : ""}, ${memoryGiB} GiB`],
    ["System", `${kernel}, ${Math.round(busyBefore * 100)} % at work before the run`],
    ...Object.entries(versions),
    ["Rounds", String(settings.rounds)],
    ...Object.entries(rates).map(([workers, rate]) => [
      `Steady rate, ${workers} Envoy worker(s)`,
      `${rate.toLocaleString("en")} requests/s; a tenth of it with bodies`,
    ]),
    ...Object.entries(cores).map(([workers, text]) => [`Cores, ${workers} Envoy worker(s)`, text]),
  ];
  return table(["", ""], rows);
}

function remarks({ leftOut, failures }: BenchResult): string[] {
  const lines = [
    ...leftOut.map(({ name, reason }) => `- Left out: ${name}: ${reason}`),
    ...failures.map(({ name, reason }) => `- Failed: ${name}: ${reason.split("\n", 1)[0]}`),
  ];
  return lines.length === 0 ? [] : [lines.join("\n")];
}

function variantTables(result: BenchResult, workers: number): string[] {
  const all = result.variants.filter((variant) => variant.workers === workers && variant.samples.length > 0);
  const title = `## ${workers} Envoy ${workers === 1 ? "worker" : "workers"}`;
  const groups = [
    ["### Headers", all.filter(({ bodyBytes }) => bodyBytes === undefined)],
    ["### Request bodies", all.filter(({ bodyBytes }) => bodyBytes !== undefined)],
  ] as const;
  return [
    title,
    ...groups.flatMap(([head, variants]) =>
      variants.length === 0 ? [] : [head, variantTable(result, variants)],
    ),
  ];
}

function variantTable(result: BenchResult, variants: readonly VariantResult[]): string {
  const rows = variants.map(({ name, title, workers, bodyBytes }) => {
    const cells = COLUMNS.map(([, metric]) => withSpread(summaryOf(result, { name, workers, metric })));
    const rate = rateOf(result, workers) * (bodyBytes === undefined ? 1 : result.settings.bodyRateShare);
    const held = summaryOf(result, { name, workers, metric: "steady.perSecond" })?.median ?? 0;
    const mark = held >= rate * HELD ? "" : " (steady rate not held)";
    return [`${title}${mark}`, ...cells];
  });
  return table(["", ...COLUMNS.map(([title]) => title)], rows);
}

function goalTable(result: BenchResult): string {
  const rows = goalsOf(result).map(({ what, needed, measured, reached }) => [
    ...[what, needed, measured],
    reached === undefined ? "" : reached ? "reached" : "**missed**",
  ]);
  return table(["Goal", "Needed", "Measured", ""], rows);
}

/** A table of Markdown. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
  return [line(head), line(head.map(() => "---")), ...rows.map(line)].join("\n");
}
