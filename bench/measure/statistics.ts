/** The middle of some numbers; of an even count, the mean of the two in the middle. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  if (sorted.length === 0) throw new RangeError("Cannot take the median of nothing: a number is needed");
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** What several rounds measured of one thing. */
export interface Summary {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

export function summarise(values: readonly number[]): Summary {
  return { median: median(values), min: Math.min(...values), max: Math.max(...values) };
}

/** The smallest value that so large a share (0 to 1) of the values does not exceed. */
export function percentile(ascending: ArrayLike<number>, share: number): number {
  const { length } = ascending;
  if (length === 0) throw new RangeError("Cannot take a percentile of nothing: a number is needed");
  const rank = Math.ceil(share * length);
  return ascending[Math.min(length, Math.max(1, rank)) - 1]!;
}
