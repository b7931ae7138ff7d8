import type { VerificationKey } from "./key-set.ts";
import type { KeySource } from "./key-source.ts";

/** What makes a verified token count, beside itself. */
export interface Standing {
  /** When it expires, in milliseconds since 1970. */
  readonly expiresAt: number;
  readonly key: VerificationKey;
  readonly source: KeySource;
}

/**
 * Remembers what tokens came to: never beyond a token's expiry, beyond the removal of its key by the issuer, or
 * beyond the time that the issuer's keys may be relied on. It holds digests, not tokens. When it is full, the half
 * that was not asked for of late is forgotten.
 */
export class TokenCache<T extends Standing> {
  readonly #half: number;
  #recent = new Map<string, T>();
  #older = new Map<string, T>();

  /** @param size The most tokens that it holds. */
  constructor(size: number) {
    this.#half = Math.floor(size / 2);
  }

  /** What a digest is known for, if that still counts. */
  get(digest: string, now: number): T | undefined {
    let entry = this.#recent.get(digest);
    if (entry === undefined) {
      entry = this.#older.get(digest);
      if (entry === undefined) return undefined;
      this.#older.delete(digest);
      this.set(digest, entry);
    }
    if (now < entry.expiresAt && entry.key.active && now < entry.source.usableUntil) return entry;
    this.#recent.delete(digest);
    return undefined;
  }

  set(digest: string, entry: T): void {
    if (this.#half === 0) return;
    if (this.#recent.size >= this.#half && !this.#recent.has(digest)) {
      this.#older = this.#recent;
      this.#recent = new Map();
    }
    this.#recent.set(digest, entry);
  }
}
