import { short } from "./goals.ts";
import { type BenchResult, rateOf, summaryOf } from "./result.ts";

const WIDTH = 800;
const LABEL_WIDTH = 290;
const RIGHT = 130;
const ROW = 24;
const BAR = 14;
const TOP = 58;
const BOTTOM = 34;
/** Of the axis, at most. */
const TICKS = 8;
const ENVOY = "#b8c2cc";
const PROCESSOR = "#2563a8";

interface Bar {
  readonly title: string;
  readonly envoy: number;
  /** Undefined: the variant has no processor. */
  readonly processor: { readonly median: number; readonly min: number; readonly max: number } | undefined;
}

/** CPU for one request at the steady rate: Envoy's, then the processor's with its spread, as an SVG. */
export function renderChart(result: BenchResult): string {
  const workers = result.settings.workers[0]!;
  const bars = barsOf(result, workers);
  const most = Math.max(1, ...bars.map(({ envoy, processor }) => envoy + (processor?.max ?? 0)));
  const step = niceStep(most / TICKS);
  const end = Math.ceil(most / step) * step;
  const height = TOP + bars.length * ROW + BOTTOM;
  const x = (value: number) => round(LABEL_WIDTH + (value / end) * (WIDTH - LABEL_WIDTH - RIGHT));
  const rate = rateOf(result, workers);
  const title = `CPU a request at ${rate.toLocaleString("en")} requests/s, ${workers} Envoy ${workers === 1 ? "worker" : "workers"} (us)`;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" viewBox="0 0 ${WIDTH} ${height}" font-family="sans-serif" font-size="12" fill="#1f2933">`,
    `<title>${escapeXml(title)}</title>`,
    `<rect width="${WIDTH}" height="${height}" fill="#ffffff"/>`,
    `<text x="12" y="22" font-size="14" font-weight="bold">${escapeXml(title)}</text>`,
    ...legend(),
    ...axis({ step, end, height, x }),
    ...bars.flatMap((bar, index) => drawBar(bar, { y: TOP + index * ROW, x })),
    "</svg>",
    "",
  ].join("\n");
}

function barsOf(result: BenchResult, workers: number): Bar[] {
  return result.variants.flatMap(({ name, title, workers: of, bodyBytes }) => {
    if (of !== workers || bodyBytes !== undefined) return [];
    const envoy = summaryOf(result, { name, workers, metric: "steady.envoyCpu" });
    if (envoy === undefined) return [];
    const processor = summaryOf(result, { name, workers, metric: "steady.processorCpu" });
    return { title, envoy: envoy.median, processor };
  });
}

function legend(): string[] {
  return [
    `<rect x="12" y="34" width="12" height="12" fill="${ENVOY}"/><text x="30" y="44">Envoy</text>`,
    `<rect x="90" y="34" width="12" height="12" fill="${PROCESSOR}"/><text x="108" y="44">ext_proc server; the line is from the least to the most of all rounds</text>`,
  ];
}

interface Scale {
  readonly step: number;
  readonly end: number;
  readonly height: number;
  readonly x: (value: number) => number;
}

function axis({ step, end, height, x }: Scale): string[] {
  const bottom = height - BOTTOM + 4;
  return Array.from({ length: Math.round(end / step) + 1 }, (_, index) => index * step).flatMap((value) => [
    `<line x1="${x(value)}" y1="${TOP - 4}" x2="${x(value)}" y2="${bottom}" stroke="#e4e7eb"/>`,
    `<text x="${x(value)}" y="${bottom + 16}" text-anchor="middle" fill="#52606d">${round(value)}</text>`,
  ]);
}

function drawBar({ title, envoy, processor }: Bar, { y, x }: { y: number; x: Scale["x"] }): string[] {
  const middle = y + BAR / 2;
  const total = envoy + (processor?.median ?? 0);
  const figures = processor === undefined ? short(envoy) : `${short(envoy)} + ${short(processor.median)}`;
  return [
    `<text x="${LABEL_WIDTH - 8}" y="${middle + 4}" text-anchor="end">${escapeXml(title)}</text>`,
    `<rect x="${x(0)}" y="${y}" width="${round(x(envoy) - x(0))}" height="${BAR}" fill="${ENVOY}"/>`,
    ...(processor === undefined
      ? []
      : [
          `<rect x="${x(envoy)}" y="${y}" width="${round(x(total) - x(envoy))}" height="${BAR}" fill="${PROCESSOR}"/>`,
          `<line x1="${x(envoy + processor.min)}" y1="${middle}" x2="${x(envoy + processor.max)}" y2="${middle}" stroke="#1f2933"/>`,
        ]),
    `<text x="${x(envoy + (processor?.max ?? 0)) + 8}" y="${middle + 4}">${figures}</text>`,
  ];
}

/** 1, 2 or 5 times a power of ten, not below what is asked for. */
function niceStep(least: number): number {
  const power = 10 ** Math.floor(Math.log10(least));
  return power * ([1, 2, 5].find((factor) => factor * power >= least) ?? 10);
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}

function escapeXml(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}
