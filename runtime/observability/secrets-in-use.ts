import { MIN_REPLACED, type Scrub, scrubber } from "./scrub.ts";

/** Secrets that are no longer in use and still kept out: an abandoned request may fail after its policy was closed. */
const MAX_RETIRED = 1_000;

/** The secrets of all policies, to keep them out of errors of which nobody knows where they come from. */
export class SecretsInUse {
  /** How many hold each. */
  readonly #held = new Map<string, number>();
  /** The latest ones that nobody holds any more. */
  readonly #retired = new Set<string>();
  #scrub: Scrub | undefined;

  /** Takes secrets in until the function that is returned is called. Very short ones would blank any text. */
  hold(secrets: readonly string[]): () => void {
    let held = secrets.filter((secret) => secret.length >= MIN_REPLACED);
    for (const secret of held) this.#held.set(secret, (this.#held.get(secret) ?? 0) + 1);
    this.#scrub = undefined;
    return () => {
      for (const secret of held) this.#release(secret);
      held = [];
    };
  }

  /** Takes them out of a text. */
  readonly scrub: Scrub = (text) => {
    this.#scrub ??= scrubber([...new Set([...this.#held.keys(), ...this.#retired])]);
    return this.#scrub(text);
  };

  #release(secret: string): void {
    const left = (this.#held.get(secret) ?? 1) - 1;
    if (left > 0) {
      this.#held.set(secret, left);
      return;
    }
    this.#held.delete(secret);
    this.#retired.delete(secret);
    this.#retired.add(secret);
    const [oldest] = this.#retired;
    if (this.#retired.size > MAX_RETIRED && oldest !== undefined) this.#retired.delete(oldest);
    this.#scrub = undefined;
  }
}
