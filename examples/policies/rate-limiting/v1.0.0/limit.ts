/**
 * Time is counted in whole ticks of 31.25 ns of the monotonic clock, so that sums are exact (for eight years) and a jump
 * of the wall clock means nothing.
 */
export const TICKS_PER_MS = 32_000;

/** What a limit is made from. */
export interface LimitSettings {
  readonly requests: number;
  readonly perTicks: number;
  /** At least 1; that of a fixed window is `requests`, and means nothing to it. */
  readonly burst: number;
}

/**
 * A limit, and what it says of the request at hand: hooks are synchronous, so there is one at a time. First `look`,
 * then, if every limit of the policy has units left, `take`.
 */
export interface Limit {
  /** The most units at once. */
  readonly quota: number;
  /** Whether there are `cost` units left for the key with this hash. */
  look(now: number, hash: number, cost: number): boolean;
  /** Takes the units that `look` asked for. */
  take(): void;
  /** Units that are left now. */
  remaining(): number;
  /** Ticks until so many units could be taken. */
  ticksUntil(units: number): number;
}

/** The time now, in ticks. */
export function ticksNow(): number {
  return Math.floor(performance.now() * TICKS_PER_MS);
}
