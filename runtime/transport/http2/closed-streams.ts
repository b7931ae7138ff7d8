/** The streams of a connection that ended last: frames that were on their way may still come for them. */
const REMEMBERED = 1_024;

/** How a stream ended: by this side before the peer had, by the peer's reset, or by both sides' ends. */
const ENDINGS = ["ours", "reset", "ended"] as const;
export type Ending = (typeof ENDINGS)[number];

/** Remembers which streams ended, and how. */
export class ClosedStreams {
  /** Ids, and behind each its ending. */
  readonly #ring = new Uint32Array(2 * REMEMBERED);
  #next = 0;

  add(id: number, ending: Ending): void {
    this.#ring[this.#next] = id;
    this.#ring[this.#next + 1] = ENDINGS.indexOf(ending);
    this.#next = (this.#next + 2) % this.#ring.length;
  }

  /** Undefined for a stream that was not one of the last. */
  find(id: number): Ending | undefined {
    for (let at = 0; at < this.#ring.length; at += 2)
      if (this.#ring[at] === id) return ENDINGS[this.#ring[at + 1]!];
    return undefined;
  }
}
