// Counters, gauges and histograms in the Prometheus text format. Our own, because a sample is taken several
// times for every request: a child that is held costs an addition here, a library's ten times as much.

import {
  Buckets,
  type Counter,
  escapeHelp,
  escapeLabel,
  type Gauge,
  type Histogram,
  type Sample,
  Value,
} from "./metric-series.ts";

export type { Counter, Gauge, Histogram } from "./metric-series.ts";

/** All series of one metric. */
export interface Family<Series> {
  /**
   * The series with these label values, in the order of the label names. Made at first use and kept: hold on to
   * it where it is used often.
   */
  with(...labelValues: string[]): Series;
}

/**
 * Series of one metric. Label values come from configuration, but a mistake there, or a label that clients can
 * influence, must not fill the memory.
 */
const MAX_SERIES = 20_000;
/** The value of every label of the one series that stands for those over the limit. */
const OVERFLOW = "_overflow";

/** The metrics of a process, or of one engine in a test. */
export class MetricsRegistry {
  readonly #families = new Map<string, SeriesFamily<Sample>>();
  readonly #collectors: (() => void)[] = [];

  counter(name: string, help: string, labelNames: readonly string[] = []): Family<Counter> {
    return this.#add(new SeriesFamily("counter", { name, help, labelNames, make: () => new Value(true) }));
  }

  gauge(name: string, help: string, labelNames: readonly string[] = []): Family<Gauge> {
    return this.#add(new SeriesFamily("gauge", { name, help, labelNames, make: () => new Value(false) }));
  }

  /** `buckets` are upper bounds, growing; the one for everything above is added. */
  histogram(
    name: string,
    help: string,
    labelNames: readonly string[],
    buckets: readonly number[],
  ): Family<Histogram> {
    const bounds = Float64Array.from(buckets);
    if (bounds.some((bound, index) => !Number.isFinite(bound) || bound <= (bounds[index - 1] ?? -Infinity))) {
      throw new RangeError(`Cannot add metric "${name}": its buckets are not growing numbers`);
    }
    return this.#add(
      new SeriesFamily("histogram", { name, help, labelNames, make: () => new Buckets(bounds) }),
    );
  }

  /** Calls `collect` before each exposition, for values that are read rather than counted. */
  beforeExpose(collect: () => void): void {
    this.#collectors.push(collect);
  }

  /** Everything in the Prometheus text format, version 0.0.4. */
  expose(): string {
    for (const collect of this.#collectors) collect();
    let text = "";
    for (const family of this.#families.values()) text += family.expose();
    return text;
  }

  #add<Series extends Sample>(family: SeriesFamily<Series>): SeriesFamily<Series> {
    if (this.#families.has(family.name)) {
      throw new RangeError(`Cannot add metric "${family.name}": it exists already`);
    }
    this.#families.set(family.name, family);
    return family;
  }
}

interface FamilySettings<Series> {
  readonly name: string;
  readonly help: string;
  readonly labelNames: readonly string[];
  readonly make: () => Series;
}

interface Branch<Series> {
  readonly branches: Map<string, Branch<Series>>;
  series: Series | undefined;
}

class SeriesFamily<Series extends Sample> implements Family<Series> {
  readonly name: string;
  readonly #type: string;
  readonly #settings: FamilySettings<Series>;
  /** A level for each label: no joining of values, so no two label sets can be taken for one. */
  readonly #root: Branch<Series> = { branches: new Map(), series: undefined };
  readonly #all: { readonly labels: string; readonly series: Series }[] = [];

  constructor(type: string, settings: FamilySettings<Series>) {
    this.name = settings.name;
    this.#type = type;
    this.#settings = settings;
    if (!/^[a-zA-Z_:][a-zA-Z0-9_:]*$/.test(settings.name)) {
      throw new RangeError(
        `Cannot add metric "${settings.name}": the name has other characters than allowed`,
      );
    }
    if (settings.labelNames.some((label) => !/^[a-zA-Z_][a-zA-Z0-9_]*$/.test(label) || label === "le")) {
      throw new RangeError(`Cannot add metric "${settings.name}": a label has a name that is not allowed`);
    }
  }

  with(...labelValues: string[]): Series {
    const { labelNames } = this.#settings;
    if (labelValues.length !== labelNames.length) {
      throw new TypeError(
        `Cannot count "${this.name}": ${labelValues.length} label values were given, ${labelNames.length} are needed`,
      );
    }
    let branch = this.#root;
    for (const value of labelValues) {
      let next = branch.branches.get(value);
      if (next === undefined) {
        if (this.#isFull(labelValues)) return this.with(...labelNames.map(() => OVERFLOW));
        next = { branches: new Map(), series: undefined };
        branch.branches.set(value, next);
      }
      branch = next;
    }
    branch.series ??= this.#make(labelValues);
    return branch.series;
  }

  expose(): string {
    const { name, help } = this.#settings;
    let text = `# HELP ${name} ${escapeHelp(help)}\n# TYPE ${name} ${this.#type}\n`;
    for (const { labels, series } of this.#all) text += series.expose(name, labels);
    return text;
  }

  #isFull(labelValues: readonly string[]): boolean {
    return this.#all.length >= MAX_SERIES && labelValues.some((value) => value !== OVERFLOW);
  }

  #make(labelValues: readonly string[]): Series {
    const labels = this.#settings.labelNames.map((label, index) => {
      return `${label}="${escapeLabel(labelValues[index] ?? "")}"`;
    });
    const series = this.#settings.make();
    this.#all.push({ labels: labels.join(","), series });
    return series;
  }
}
