import type { Gauge } from "../observability/metrics.ts";

/** Counts the memory of all bodies that an engine holds, so that they stay within a limit. */
export class BodyMemory {
  readonly #limit: number;
  readonly #gauge: Gauge | undefined;
  #used = 0;

  /** @param gauge Shows what is in use. */
  constructor(limit: number, gauge?: Gauge) {
    this.#limit = limit;
    this.#gauge = gauge;
  }

  /** In bytes. */
  get used(): number {
    return this.#used;
  }

  /** Takes so many bytes. False: they are not there, and none were taken. */
  acquire(bytes: number): boolean {
    if (this.#used + bytes > this.#limit) return false;
    this.#used += bytes;
    this.#gauge?.set(this.#used);
    return true;
  }

  release(bytes: number): void {
    this.#used -= bytes;
    this.#gauge?.set(this.#used);
  }
}
