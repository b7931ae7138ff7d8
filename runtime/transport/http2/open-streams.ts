import type { GrpcStream } from "./stream.ts";

/** A power of two, as all sizes are. */
const FIRST_BITS = 7;

/**
 * The open streams of a connection by their ids: a table with linear probing. A Map would do, but its old storage
 * leads to the new one, so that whoever is in it when it grows lives until the next full collection: with Envoy's
 * short streams that is every exchange, and the young collections between free nothing.
 */
export class OpenStreams {
  #slots: (GrpcStream | undefined)[] = emptySlots(FIRST_BITS);
  #bits = FIRST_BITS;
  #size = 0;
  /** The peer chooses the ids: it must not be able to choose such as share a slot. */
  readonly #factor = crypto.getRandomValues(new Uint32Array(1))[0]! | 1;

  get size(): number {
    return this.#size;
  }

  get(id: number): GrpcStream | undefined {
    return this.#slots[this.#slotOf(id)];
  }

  /** Its id must not be there. */
  add(stream: GrpcStream): void {
    // At most half is taken, so that there is always an empty slot, and soon.
    if (this.#size >= this.#slots.length / 2) this.#grow();
    this.#slots[this.#slotOf(stream.id)] = stream;
    this.#size++;
  }

  delete(id: number): void {
    const slots = this.#slots;
    const mask = slots.length - 1;
    let empty = this.#slotOf(id);
    if (slots[empty] === undefined) return;
    this.#size--;
    slots[empty] = undefined;
    // Those behind it that would be nearer to their home move up, or they would not be found any more.
    for (let at = (empty + 1) & mask; ; at = (at + 1) & mask) {
      const stream = slots[at];
      if (stream === undefined) return;
      const home = this.#homeOf(stream.id);
      if (((at - home) & mask) < ((at - empty) & mask)) continue;
      slots[empty] = stream;
      slots[at] = undefined;
      empty = at;
    }
  }

  /** All of this moment. */
  values(): GrpcStream[] {
    return this.#slots.filter((stream) => stream !== undefined);
  }

  clear(): void {
    this.#slots = emptySlots(FIRST_BITS);
    this.#bits = FIRST_BITS;
    this.#size = 0;
  }

  /** Where a stream is, or would be. */
  #slotOf(id: number): number {
    const slots = this.#slots;
    const mask = slots.length - 1;
    let at = this.#homeOf(id);
    for (;;) {
      const stream = slots[at];
      if (stream === undefined || stream.id === id) return at;
      at = (at + 1) & mask;
    }
  }

  #homeOf(id: number): number {
    return Math.imul(id, this.#factor) >>> (32 - this.#bits);
  }

  #grow(): void {
    const streams = this.values();
    this.#slots = emptySlots(++this.#bits);
    for (const stream of streams) this.#slots[this.#slotOf(stream.id)] = stream;
  }
}

function emptySlots(bits: number): undefined[] {
  return Array.from({ length: 2 ** bits });
}
