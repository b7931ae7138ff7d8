import type { KeyTable } from "./key-table.ts";
import type { Limit, LimitSettings } from "./limit.ts";

/** Above any count, so that the number of a later window is larger than that of every earlier one. */
const COUNTS = 2 ** 20;

/** Counts in windows that follow each other and begin at the same time for every key. */
export class FixedWindowLimit implements Limit {
  readonly quota: number;
  readonly #windowTicks: number;
  readonly #table: KeyTable;
  #place = 0;
  #now = 0;
  /** The window's number times {@link COUNTS}. */
  #window = 0;
  #count = 0;
  #cost = 0;

  constructor({ requests, perTicks }: LimitSettings, table: KeyTable) {
    this.quota = requests;
    this.#windowTicks = perTicks;
    this.#table = table;
  }

  look(now: number, hash: number, cost: number): boolean {
    this.#window = Math.floor(now / this.#windowTicks) * COUNTS;
    this.#place = this.#table.find(hash, this.#window);
    this.#now = now;
    this.#count = Math.max(this.#table.get(this.#place) - this.#window, 0);
    this.#cost = cost;
    return this.#count + cost <= this.quota;
  }

  take(): void {
    this.#count += this.#cost;
    this.#table.set(this.#place, this.#window + this.#count);
  }

  remaining(): number {
    return Math.max(this.quota - this.#count, 0);
  }

  ticksUntil(): number {
    return this.#windowTicks - (this.#now % this.#windowTicks);
  }
}
