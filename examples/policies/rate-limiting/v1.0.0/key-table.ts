/** Slots of a bucket; one key can be in each of them. */
const WAYS = 16;
/** Hashes of a bucket, then their values: what one look-up touches lies together. */
const STRIDE = 2 * WAYS;
/** As many as keys would crowd single buckets long before the table is full. */
const SLOTS_PER_KEY = 2;
const FIRST_BUCKETS = 16;
const TWO_32 = 2 ** 32;

/**
 * One number for each key, by the key's hash, in bounded memory. A number that is not above `floor` is worth nothing
 * any more, and its place is free; the floor only grows.
 *
 * Nothing that is worth something is ever thrown out: where a key finds no place and the table is as large as it may
 * be, it shares the number of another key. So nobody gets a counter back by flooding the table with keys.
 */
export class KeyTable {
  /** How many keys have a place of their own for sure; the table grows up to that. */
  maxKeys: number;
  #cells = new Float64Array(FIRST_BUCKETS * STRIDE);
  #buckets = FIRST_BUCKETS;
  #shared = 0;
  #sharedPlace = -1;
  /** The largest number that a key put where it shares: while it is worth something, so is what is noted there. */
  #sharedUntil = 0;

  constructor(maxKeys: number) {
    this.maxKeys = maxKeys;
  }

  /** Bytes that the table takes. */
  get bytes(): number {
    return this.#cells.byteLength;
  }

  /** Where the number of a key is, until the next call. It is not above the floor if the key had none. */
  find(hash: number, floor: number): number {
    for (;;) {
      const found = this.#find(hash, floor);
      if (found !== -1) return found;
      if (this.#buckets * WAYS >= this.maxKeys * SLOTS_PER_KEY) break;
      this.#grow(floor);
    }
    this.#shared++;
    this.#sharedPlace = this.#sharePlaceOf(hash);
    return this.#sharedPlace;
  }

  /** How often a key had to share since this was asked last. */
  takeShared(): number {
    const shared = this.#shared;
    this.#shared = 0;
    return shared;
  }

  get(place: number): number {
    return this.#cells[place]!;
  }

  set(place: number, value: number): void {
    this.#cells[place] = value;
    if (place === this.#sharedPlace && value > this.#sharedUntil) this.#sharedUntil = value;
  }

  #sharePlaceOf(hash: number): number {
    return this.#bucketOf(hash) + WAYS + (Math.floor(hash / TWO_32) % WAYS);
  }

  #bucketOf(hash: number): number {
    return (hash & (this.#buckets - 1)) * STRIDE;
  }

  /** The place of the key, else a free one that is made the key's; -1 if there is none. */
  #find(hash: number, floor: number): number {
    const cells = this.#cells;
    const start = this.#bucketOf(hash);
    for (let at = start; at < start + WAYS; at++) if (cells[at] === hash) return at + WAYS;
    for (let at = start; at < start + WAYS; at++) {
      if (cells[at + WAYS]! > floor) continue;
      cells[at] = hash;
      // A key that had to share takes along what it may have put there.
      cells[at + WAYS] = this.#sharedUntil > floor ? cells[this.#sharePlaceOf(hash)]! : 0;
      return at + WAYS;
    }
    return -1;
  }

  #grow(floor: number): void {
    const before = this.#cells;
    this.#buckets *= 2;
    this.#cells = new Float64Array(this.#buckets * STRIDE);
    for (let start = 0; start < before.length; start += STRIDE) {
      for (let at = start; at < start + WAYS; at++) {
        const value = before[at + WAYS]!;
        // A bucket becomes two, so there is a place for each.
        if (value > floor) this.#cells[this.#find(before[at]!, floor)] = value;
      }
    }
  }
}
