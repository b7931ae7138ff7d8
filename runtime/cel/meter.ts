import { EvaluationError } from "@marcbachmann/cel-js";
import { CHARACTERS_PER_WORK, MAX_ITEMS, MAX_WORK } from "./limits.ts";

/** Counts what one evaluation of a condition costs. cel-js has no such bound of its own. */
export class Meter {
  #left = MAX_WORK;

  /** Whether the bound was reached: `||` and `exists` swallow errors, this one must not be. */
  get exhausted(): boolean {
    return this.#left < 0;
  }

  restart(): void {
    this.#left = MAX_WORK;
  }

  spend(work: number): void {
    this.#left -= work;
    if (this.#left < 0) throw new EvaluationError({ code: "too_much_work", message: "Too much work" });
  }

  /** Pays for reading a value once, be it text, bytes or something else that takes no time. */
  read(value: unknown): void {
    if (typeof value === "string" || value instanceof Uint8Array) {
      if (value.length >= CHARACTERS_PER_WORK) this.spend(value.length / CHARACTERS_PER_WORK);
    }
  }

  /** Pays for going over a list or a map with this much work for each item. */
  iterate(items: unknown, weight: number): void {
    const count = itemsIn(items);
    if (count > MAX_ITEMS) throw tooLarge(`More than ${MAX_ITEMS} items`);
    this.spend(count * weight);
  }

  /** Pays for comparing all of a value with another one, which may hold the same list many times over. */
  compare(value: unknown): void {
    if (typeof value !== "object" || value === null || value instanceof Uint8Array) {
      this.read(value);
      return;
    }
    this.spend(itemsIn(value));
    if (Array.isArray(value)) for (const item of value) this.compare(item);
    else if (value instanceof Map || value instanceof Set)
      for (const item of value.values()) this.compare(item);
    else if (value.constructor === Object || value.constructor === undefined) {
      for (const item of Object.values(value)) this.compare(item);
    }
  }
}

export function tooLarge(message: string): EvaluationError {
  return new EvaluationError({ code: "too_large", message });
}

function itemsIn(value: unknown): number {
  if (Array.isArray(value)) return value.length;
  if (value instanceof Map || value instanceof Set) return value.size;
  return typeof value === "object" && value !== null ? Object.keys(value).length : 0;
}
