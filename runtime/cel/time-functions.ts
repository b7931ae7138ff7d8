// Durations from texts, and the parts of timestamps and durations.
import { toDuration } from "./arithmetic.ts";
import { Fault } from "./fault.ts";
import { MAX_DURATION_TEXT, TIME_ZONE_WORK } from "./limits.ts";
import type { Meter } from "./meter.ts";
import { Duration } from "./values.ts";

const UNITS: Readonly<Record<string, bigint>> = {
  h: 3_600_000_000_000n,
  m: 60_000_000_000n,
  s: 1_000_000_000n,
  ms: 1_000_000n,
  us: 1_000n,
  µs: 1_000n,
  // The Greek letter, beside the sign.
  μs: 1_000n,
  ns: 1n,
};

/** Parts of a timestamp, from a date whose UTC fields are those of the zone. */
const TIME_PARTS: Readonly<Record<string, (local: Date) => number>> = {
  getFullYear: (local) => local.getUTCFullYear(),
  getMonth: (local) => local.getUTCMonth(),
  getDate: (local) => local.getUTCDate(),
  getDayOfMonth: (local) => local.getUTCDate() - 1,
  getDayOfWeek: (local) => local.getUTCDay(),
  getDayOfYear: (local) => Math.floor((local.getTime() - new Date(local).setUTCMonth(0, 1)) / 86_400_000),
  getHours: (local) => local.getUTCHours(),
  getMinutes: (local) => local.getUTCMinutes(),
  getSeconds: (local) => local.getUTCSeconds(),
  getMilliseconds: (local) => local.getUTCMilliseconds(),
};

const DURATION_PARTS: Readonly<Record<string, (duration: Duration) => bigint>> = {
  getHours: (duration) => duration.seconds / 3_600n,
  getMinutes: (duration) => duration.seconds / 60n,
  getSeconds: (duration) => duration.seconds,
  getMilliseconds: (duration) => BigInt(Math.trunc(duration.nanos / 1_000_000)),
};

export const TIME_PART_NAMES: readonly string[] = Object.keys(TIME_PARTS);

export function timePart(name: string, value: unknown, zone: unknown, meter: Meter): bigint {
  if (value instanceof Duration && zone === undefined) {
    const part = DURATION_PARTS[name];
    if (part !== undefined) return part(value);
  }
  if (!(value instanceof Date)) throw new Fault("no_such_overload");
  if (zone === undefined) return BigInt(TIME_PARTS[name]!(value));
  if (typeof zone !== "string") throw new Fault("no_such_overload");
  meter.spend(TIME_ZONE_WORK);
  return BigInt(TIME_PARTS[name]!(new Date(value.getTime() + zoneOffset(zone, value))));
}

/** Milliseconds that a zone is ahead of UTC at a time: `+02:00`, `-2:00`, or a name such as `Europe/Paris`. */
function zoneOffset(zone: string, time: Date): number {
  const [, sign, hours, minutes] = /^([+-]?)([01]?\d|2[0-3]):([0-5]\d)$/.exec(zone) ?? [];
  if (hours !== undefined) {
    const offset = (Number(hours) * 60 + Number(minutes)) * 60_000;
    return sign === "-" ? -offset : offset;
  }
  let format: Intl.DateTimeFormat;
  try {
    format = new Intl.DateTimeFormat("en-US", {
      ...{
        timeZone: zone,
        hourCycle: "h23",
        era: "short",
        year: "numeric",
        month: "numeric",
        day: "numeric",
      },
      ...{ hour: "numeric", minute: "numeric", second: "numeric" },
    });
  } catch {
    throw new Fault("invalid_time_zone");
  }
  const parts = new Map(format.formatToParts(time).map(({ type, value }) => [type, Number(value)]));
  const part = (type: Intl.DateTimeFormatPartTypes): number => parts.get(type) ?? 0;
  const local = new Date(0).setUTCFullYear(part("year"), part("month") - 1, part("day"));
  const clock = ((part("hour") * 60 + part("minute")) * 60 + part("second")) * 1_000;
  return local + clock - Math.floor(time.getTime() / 1_000) * 1_000;
}

/** A duration as `1h30m`, `-1.5s` or `0`. */
export function toDurationFromText(value: unknown): Duration {
  if (value instanceof Duration) return value;
  if (typeof value !== "string") throw new Fault("no_such_overload");
  if (value.length > MAX_DURATION_TEXT) throw new Fault("too_large");
  const [, sign, rest = ""] = /^([+-]?)(.*)$/s.exec(value)!;
  const pattern = /([0-9]*)(?:\.([0-9]*))?(ns|us|µs|μs|ms|s|m|h)/y;
  let nanoseconds = 0n;
  while (pattern.lastIndex < rest.length) {
    const [, whole = "", fraction = "", unit = ""] = pattern.exec(rest) ?? [];
    if (whole === "" && fraction === "") {
      if (rest === "0") break;
      throw new Fault("invalid_duration");
    }
    const size = UNITS[unit]!;
    nanoseconds += BigInt(whole) * size;
    if (fraction !== "") nanoseconds += (BigInt(fraction) * size) / 10n ** BigInt(fraction.length);
  }
  if (rest === "") throw new Fault("invalid_duration");
  return toDuration(sign === "-" ? -nanoseconds : nanoseconds);
}
