/** Words of the finish: three rounds for each half of the result. */
const FINISH = 6;
const TWO_32 = 2 ** 32;

/**
 * Makes numbers of texts, with a secret: who does not know it cannot find texts with the same number. HalfSipHash-1-3
 * (Aumasson and Bernstein, "SipHash: a fast short-input PRF") over UTF-16 units, two to a word, and the length.
 */
export class KeyedHash {
  readonly #k0: number;
  readonly #k1: number;

  constructor(secret: Uint32Array = crypto.getRandomValues(new Uint32Array(2))) {
    this.#k0 = secret[0]!;
    this.#k1 = secret[1]!;
  }

  /** A whole number of 53 bits. */
  of(text: string): number {
    const { length } = text;
    const words = (length + 1) >> 1;
    let v0 = this.#k0 | 0;
    let v1 = (this.#k1 ^ 0xee) | 0;
    let v2 = 0x6c796765 ^ this.#k0;
    let v3 = 0x74656462 ^ this.#k1;
    let high = 0;
    for (let step = 0; step <= words + FINISH; step++) {
      let word = 0;
      if (step < words) {
        const at = step << 1;
        word = text.charCodeAt(at) | (at + 1 < length ? text.charCodeAt(at + 1) << 16 : 0);
      } else if (step === words) word = length;
      else if (step === words + 1) v2 ^= 0xee;
      else if (step === words + 4) {
        high = (v1 ^ v3) >>> 11;
        v1 ^= 0xdd;
      }
      v3 ^= word;
      v0 = (v0 + v1) | 0;
      v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0;
      v0 = (v0 << 16) | (v0 >>> 16);
      v2 = (v2 + v3) | 0;
      v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2;
      v0 = (v0 + v3) | 0;
      v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0;
      v2 = (v2 + v1) | 0;
      v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2;
      v2 = (v2 << 16) | (v2 >>> 16);
      v0 ^= word;
    }
    return high * TWO_32 + ((v1 ^ v3) >>> 0);
  }
}
