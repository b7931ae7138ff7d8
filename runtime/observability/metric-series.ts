// The series of metrics.ts: what is held and counted into, and how it is written.

/** A number that only grows. */
export interface Counter {
  /** Adds `by`, 1 by default; what is not a positive number is ignored. */
  inc(by?: number): void;
  readonly value: number;
}

/** A number that goes up and down. */
export interface Gauge {
  set(value: number): void;
  /** Adds `by`, 1 by default. */
  inc(by?: number): void;
  /** Takes `by` away, 1 by default. */
  dec(by?: number): void;
  readonly value: number;
}

/** How often values fell into each of a row of ranges. */
export interface Histogram {
  /** Takes one value, in seconds for durations. */
  observe(value: number): void;
  readonly count: number;
  readonly sum: number;
}

/** A series that can write itself. `labels` is empty or `a="b",c="d"`. */
export interface Sample {
  expose(name: string, labels: string): string;
}

/** One number. */
export class Value implements Counter, Gauge, Sample {
  readonly #growsOnly: boolean;
  #value = 0;

  constructor(growsOnly: boolean) {
    this.#growsOnly = growsOnly;
  }

  get value(): number {
    return this.#value;
  }

  set(value: number): void {
    this.#value = value;
  }

  inc(by = 1): void {
    if (this.#growsOnly && !(by > 0)) return;
    this.#value += by;
  }

  dec(by = 1): void {
    this.#value -= by;
  }

  expose(name: string, labels: string): string {
    return `${series(name, labels)} ${number(this.#value)}\n`;
  }
}

/** Counts by range. */
export class Buckets implements Histogram, Sample {
  readonly #bounds: Float64Array;
  /** How many values fell into each range; the last is for those above all bounds. */
  readonly #counts: Float64Array;
  #sum = 0;

  constructor(bounds: Float64Array) {
    this.#bounds = bounds;
    this.#counts = new Float64Array(bounds.length + 1);
  }

  get count(): number {
    return this.#counts.reduce((total, count) => total + count, 0);
  }

  get sum(): number {
    return this.#sum;
  }

  observe(value: number): void {
    // One of these would make the sum useless for ever.
    if (Number.isNaN(value)) return;
    const bounds = this.#bounds;
    let index = 0;
    while (index < bounds.length && value > bounds[index]!) index++;
    this.#counts[index]!++;
    this.#sum += value;
  }

  expose(name: string, labels: string): string {
    const before = labels === "" ? "" : `${labels},`;
    let text = "";
    let total = 0;
    for (const [index, count] of this.#counts.entries()) {
      total += count;
      text += `${name}_bucket{${before}le="${number(this.#bounds[index] ?? Infinity)}"} ${total}\n`;
    }
    return `${text}${series(`${name}_sum`, labels)} ${number(this.#sum)}\n${series(`${name}_count`, labels)} ${total}\n`;
  }
}

function series(name: string, labels: string): string {
  return labels === "" ? name : `${name}{${labels}}`;
}

function number(value: number): string {
  if (value === Infinity) return "+Inf";
  return value === -Infinity ? "-Inf" : String(value);
}

/** For the text of `# HELP`. */
export function escapeHelp(text: string): string {
  return text.replaceAll("\\", "\\\\").replaceAll("\n", "\\n");
}

/** For a label's value, between its quotes. */
export function escapeLabel(text: string): string {
  return escapeHelp(text).replaceAll('"', '\\"');
}
