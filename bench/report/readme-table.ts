import type { Metric } from "../measure/sample.ts";
import { short } from "./goals.ts";
import { table } from "./markdown.ts";
import { type BenchResult, summaryOf } from "./result.ts";

const VARIANTS = [
  ...["envoy", "envoy-lua", "grpc-go", "tonic", "grpc-js"],
  ...["engine-0", "engine-1", "engine-5", "engine-5-cel", "engine-jwt"],
];
const COLUMNS: readonly (readonly [title: string, metric: Metric])[] = [
  ["CPU of the server, us", "saturated.processorCpu"],
  ["CPU of Envoy, us", "saturated.envoyCpu"],
  ["Requests/s", "saturated.perSecond"],
];

/** The figures of the project's README: those of a run behind one Envoy worker, at saturation. */
export function readmeTable(result: BenchResult): string {
  const rows = VARIANTS.flatMap((name) => {
    const variant = result.variants.find((other) => other.name === name && other.workers === 1);
    if (variant === undefined) return [];
    const cells = COLUMNS.map(([, metric]) => {
      const median = summaryOf(result, { name, workers: 1, metric })?.median;
      return median === undefined ? "" : short(median);
    });
    return [[variant.title, ...cells]];
  });
  return table(["", ...COLUMNS.map(([title]) => title)], rows);
}
