import { Fault } from "./fault.ts";
import {
  CHARACTERS_PER_STEP_WORK,
  CHARACTERS_PER_WORK,
  KEYS_PER_WORK,
  MAX_ITEMS,
  MAX_MADE_TEXT,
  MAX_WORK,
} from "./limits.ts";

/** Counts what one evaluation of an expression costs. */
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
    if (this.#left < 0) throw new Fault("too_much_work");
  }

  /** Pays for reading a value once, be it text, bytes or something else that takes no time. */
  read(value: unknown): void {
    if (typeof value === "string" || value instanceof Uint8Array) {
      if (value.length >= CHARACTERS_PER_WORK) this.spend(value.length / CHARACTERS_PER_WORK);
    }
  }

  /** Pays for taking so many characters one by one. */
  step(characters: number): void {
    this.spend(characters / CHARACTERS_PER_STEP_WORK);
  }

  /** Lets a text, or bytes, of this length be made where they are longer than what they are made of. */
  make(length: number): void {
    if (length > MAX_MADE_TEXT) throw new Fault("too_large");
  }

  /** Pays for having counted so many keys. */
  count(keys: number): void {
    this.spend(keys / KEYS_PER_WORK);
  }

  /** Pays for going over so many items with this much work for each of them. */
  iterate(count: number, weight: number): void {
    if (count > MAX_ITEMS) throw new Fault("too_large");
    this.spend(count * weight);
  }
}
