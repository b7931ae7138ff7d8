import { KeySet, type KeySetOptions, type KeyWish, readKeySet, type VerificationKey } from "./key-set.ts";

/** Where the keys of an issuer come from. */
export interface KeySource {
  /** Until when, in milliseconds since 1970, its keys and what they have verified may be relied on. */
  readonly usableUntil: number;
  /** The keys that may have made a signature, of those that are there. */
  find(wish: KeyWish): readonly VerificationKey[];
  /** Resolves when there may be other keys, or when waiting for them is over. Undefined: there will be none. */
  newer(): Promise<void> | undefined;
}

/** Keys that stand in the configuration. */
export class FixedKeys implements KeySource {
  readonly usableUntil = Number.POSITIVE_INFINITY;
  readonly #keys: KeySet;

  private constructor(keys: KeySet) {
    this.#keys = keys;
  }

  /** @throws {Error} If the text is no JWK Set, or has no key for one of the algorithms. */
  static async read(text: string, options: KeySetOptions): Promise<FixedKeys> {
    return new FixedKeys(await readKeySet(text, options));
  }

  find(wish: KeyWish): readonly VerificationKey[] {
    return this.#keys.find(wish);
  }

  newer(): undefined {
    return undefined;
  }
}

/** No keys: what an issuer has that has never answered. */
export const NO_KEYS = new KeySet([]);
