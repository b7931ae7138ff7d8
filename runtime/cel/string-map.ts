import type { HeadersView } from "@policy-engine/sdk";
import { Fault } from "./fault.ts";
import { MAX_ITEMS } from "./limits.ts";

/** Where a map of texts takes its entries from, when asked. */
export interface StringSource {
  get(key: string): string | undefined;
  has(key: string): boolean;
  /** Keys may repeat: the first value counts. */
  entries(): Iterable<readonly [key: string, value: string]>;
}

/**
 * A map for conditions that copies nothing until something goes over all of it. Reading a key that is missing is
 * the reader's to make an empty string of: `in` and `has()` must be able to tell.
 */
export class StringMap extends Map<string, string> {
  readonly #source: StringSource;
  #copied = false;

  static {
    // cel-js knows a map by its constructor.
    Object.defineProperty(StringMap.prototype, "constructor", { value: Map });
  }

  constructor(source: StringSource) {
    super();
    this.#source = source;
  }

  override get(key: string): string | undefined {
    if (typeof key !== "string") return undefined;
    // Whoever went over all of it most likely asks with a key from there.
    return (this.#copied ? super.get(key) : undefined) ?? this.#source.get(key);
  }

  override has(key: string): boolean {
    return typeof key === "string" && this.#source.has(key);
  }

  override get size(): number {
    return this.#copy().length;
  }

  override keys(): MapIterator<string> {
    this.#copy();
    return super.keys();
  }

  override values(): MapIterator<string> {
    this.#copy();
    return super.values();
  }

  override entries(): MapIterator<[string, string]> {
    this.#copy();
    return super.entries();
  }

  override [Symbol.iterator](): MapIterator<[string, string]> {
    return this.entries();
  }

  #copy(): { readonly length: number } {
    if (!this.#copied) {
      for (const [key, value] of this.#source.entries()) {
        if (!super.has(key)) super.set(key, value);
        if (super.size > MAX_ITEMS) throw new Fault("too_many_items");
      }
      this.#copied = true;
    }
    return { length: super.size };
  }
}

export function headerMap(headers: HeadersView): StringMap {
  return new StringMap({
    get: (name) => headers.get(name),
    has: (name) => headers.has(name),
    *entries() {
      // Of several lines, the value is all of them.
      for (const [name] of headers.entries()) yield [name, headers.get(name) ?? ""];
    },
  });
}

/** The first value of each parameter. */
export function queryMap(query: URLSearchParams): StringMap {
  return new StringMap({
    get: (name) => query.get(name) ?? undefined,
    has: (name) => query.has(name),
    entries: () => query.entries(),
  });
}
