import type { KeyTable } from "./key-table.ts";
import type { Limit, LimitSettings } from "./limit.ts";

/**
 * The generic cell rate algorithm (ITU-T I.371): for each key the time at which all of its units are back. A bucket of
 * `burst` units, filled one by one, in a single number.
 */
export class GcraLimit implements Limit {
  readonly quota: number;
  /** A unit comes back every so many ticks; rounded up, so the limit is never exceeded. */
  readonly #interval: number;
  /** The time in which all units come back. */
  readonly #windowTicks: number;
  readonly #table: KeyTable;
  #place = 0;
  #now = 0;
  /** When all units would be back, before and after the request at hand. */
  #full = 0;
  #fullAfter = 0;

  constructor({ requests, perTicks, burst }: LimitSettings, table: KeyTable) {
    this.#interval = Math.ceil(perTicks / requests);
    this.quota = burst;
    this.#windowTicks = burst * this.#interval;
    this.#table = table;
  }

  look(now: number, hash: number, cost: number): boolean {
    this.#place = this.#table.find(hash, now);
    this.#now = now;
    this.#full = Math.max(this.#table.get(this.#place), now);
    if (this.#full > now + this.#windowTicks) {
      // A slower limit before a change of parameters left it. It is over when all of this one is back.
      this.#full = now + this.#windowTicks;
      this.#table.set(this.#place, this.#full);
    }
    this.#fullAfter = this.#full + cost * this.#interval;
    return this.#fullAfter - now <= this.#windowTicks;
  }

  take(): void {
    this.#full = this.#fullAfter;
    this.#table.set(this.#place, this.#full);
  }

  remaining(): number {
    return Math.floor((this.#now + this.#windowTicks - this.#full) / this.#interval);
  }

  ticksUntil(units: number): number {
    return this.#full + units * this.#interval - this.#windowTicks - this.#now;
  }
}
