const MILLISECONDS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 };
const BYTES: Readonly<Record<string, number>> = { B: 1, KiB: 1024, MiB: 1024 ** 2, GiB: 1024 ** 3 };

/** How a duration is written, for messages. */
export const DURATION_FORM = 'a number and "ms", "s", "m" or "h", such as 250ms or 1.5s';
/** How a size is written, for messages. */
export const SIZE_FORM = 'a whole number of bytes, or one with "KiB", "MiB" or "GiB", such as 10MiB';

/** A duration such as `250ms`, `1.5s`, `5m` or `1h` in milliseconds; undefined when it is none. */
export function parseDuration(text: unknown): number | undefined {
  const match = typeof text === "string" ? /^(\d{1,9}(?:\.\d{1,3})?)(ms|s|m|h)$/.exec(text) : null;
  if (match === null) return undefined;
  return Number(match[1]) * MILLISECONDS[match[2]!]!;
}

/** A size such as `10MiB`, `64KiB`, `512B`, `"1048576"` or 1048576 in bytes; undefined when it is none. */
export function parseSize(value: unknown): number | undefined {
  if (typeof value === "number") return Number.isSafeInteger(value) && value >= 0 ? value : undefined;
  const match = typeof value === "string" ? /^(\d{1,15})(B|KiB|MiB|GiB)?$/.exec(value) : null;
  if (match === null) return undefined;
  const bytes = Number(match[1]) * BYTES[match[2] ?? "B"]!;
  return Number.isSafeInteger(bytes) ? bytes : undefined;
}

/** Milliseconds in the largest unit that needs no fraction, such as `1500ms` or `5m`. */
export function formatDuration(milliseconds: number): string {
  return inLargestUnit(milliseconds, MILLISECONDS, "ms");
}

/** Bytes in the largest unit that needs no fraction, such as `10MiB` or `1500B`. */
export function formatSize(bytes: number): string {
  return inLargestUnit(bytes, BYTES, "B");
}

function inLargestUnit(value: number, units: Readonly<Record<string, number>>, smallest: string): string {
  let text = `${value}${smallest}`;
  if (value === 0) return text;
  for (const [unit, factor] of Object.entries(units))
    if (value % factor === 0) text = `${value / factor}${unit}`;
  return text;
}
