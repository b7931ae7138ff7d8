/**
 * Values that go to another thread in one message. Taking a message apart is done at one go there, and these
 * many take about a millisecond.
 */
const MAX_VALUES = 4_000;

/** A step of building a value: a value for its place, or a list or map that is opened or closed. */
export type ValuePart =
  | { readonly key: string | undefined; readonly value: unknown }
  | { readonly key: string | undefined; readonly open: "list" | "map" }
  | "close";

/** The steps that build a JSON value, in portions of about so many values each. */
export function* takeApart(value: unknown, maxValues: number = MAX_VALUES): Generator<ValuePart[]> {
  let portion: ValuePart[] = [];
  let left = maxValues;
  for (const { part, values } of partsOf(value, undefined, maxValues)) {
    portion.push(part);
    left -= values;
    if (left > 0) continue;
    yield portion;
    portion = [];
    left = maxValues;
  }
  if (portion.length > 0) yield portion;
}

/** Builds a value of the parts that {@link takeApart} made of it. */
export class ValueBuilder {
  readonly #open: (unknown[] | Record<string, unknown>)[] = [];
  #value: unknown;

  /** What has been built; whole after the last part. */
  get value(): unknown {
    return this.#value;
  }

  add(parts: readonly ValuePart[]): void {
    for (const part of parts) {
      if (part === "close") {
        this.#open.pop();
      } else if ("open" in part) {
        const opened = part.open === "list" ? [] : {};
        this.#put(part.key, opened);
        this.#open.push(opened);
      } else {
        this.#put(part.key, part.value);
      }
    }
  }

  #put(key: string | undefined, value: unknown): void {
    const parent = this.#open.at(-1);
    if (parent === undefined) this.#value = value;
    else if (Array.isArray(parent)) parent.push(value);
    else parent[key!] = value;
  }
}

function* partsOf(
  value: unknown,
  key: string | undefined,
  maxValues: number,
): Generator<{ part: ValuePart; values: number }> {
  const values = countValues(value, maxValues);
  if (values < maxValues || typeof value !== "object" || value === null) {
    yield { part: { key, value }, values };
    return;
  }
  yield { part: { key, open: Array.isArray(value) ? "list" : "map" }, values: 1 };
  if (Array.isArray(value)) for (const item of value) yield* partsOf(item, undefined, maxValues);
  else for (const [name, item] of Object.entries(value)) yield* partsOf(item, name, maxValues);
  yield { part: "close", values: 1 };
}

/** How many values a value consists of, counted to the limit only. */
function countValues(value: unknown, limit: number): number {
  if (typeof value !== "object" || value === null) return 1;
  let count = 1;
  for (const item of Object.values(value)) {
    count += countValues(item, limit - count);
    if (count >= limit) break;
  }
  return count;
}
