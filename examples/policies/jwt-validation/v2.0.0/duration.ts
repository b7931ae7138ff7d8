const MILLISECONDS = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 } as const;

/** Milliseconds of a duration that the schema let through, such as `500ms`, `30s`, `5m` or `24h`. */
export function milliseconds(duration: string): number {
  const unit = duration.endsWith("ms") ? "ms" : (duration.at(-1) as keyof typeof MILLISECONDS);
  return Number.parseInt(duration, 10) * MILLISECONDS[unit];
}
