// Functions that make a value of another type. What cannot be converted without a doubt is an error.
import { toInt, toTimestamp, toUint } from "./arithmetic.ts";
import { Fault } from "./fault.ts";
import type { Meter } from "./meter.ts";
import { type Duration, kindOf, nanosecondsOf, UnsignedInt } from "./values.ts";

/** The doubles that are no ints any more, below and above. */
const INT_EDGE = 2 ** 63;
const UINT_EDGE = 2 ** 64;
const INTEGER = /^[+-]?[0-9]{1,20}$/;
const UNSIGNED = /^\+?[0-9]{1,20}$/;
const DOUBLE = /^[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?$/;

export function toBool(value: unknown): boolean {
  if (typeof value === "boolean") return value;
  if (typeof value !== "string") throw new Fault("no_such_overload");
  if (["1", "t", "true", "TRUE", "True"].includes(value)) return true;
  if (["0", "f", "false", "FALSE", "False"].includes(value)) return false;
  throw new Fault("bool_conversion_error");
}

export function convertToInt(value: unknown): bigint {
  if (typeof value === "bigint") return value;
  if (value instanceof UnsignedInt) return toInt(value.value);
  if (value instanceof Date) return BigInt(Math.floor(value.getTime() / 1_000));
  if (typeof value === "number") {
    if (!(value > -INT_EDGE && value < INT_EDGE)) throw new Fault("numeric_overflow");
    return BigInt(Math.trunc(value));
  }
  if (typeof value !== "string") throw new Fault("no_such_overload");
  if (!INTEGER.test(value)) throw new Fault("int_conversion_error");
  return toInt(BigInt(value.replace("+", "")));
}

export function convertToUint(value: unknown): UnsignedInt {
  if (value instanceof UnsignedInt) return value;
  if (typeof value === "bigint") return toUint(value);
  if (typeof value === "number") {
    if (!(value >= 0 && value < UINT_EDGE)) throw new Fault("numeric_overflow");
    return toUint(BigInt(Math.trunc(value)));
  }
  if (typeof value !== "string") throw new Fault("no_such_overload");
  if (!UNSIGNED.test(value)) throw new Fault("uint_conversion_error");
  return toUint(BigInt(value.replace("+", "")));
}

export function toDouble(value: unknown, meter: Meter): number {
  if (typeof value === "number") return value;
  if (typeof value === "bigint") return Number(value);
  if (value instanceof UnsignedInt) return Number(value.value);
  if (typeof value !== "string") throw new Fault("no_such_overload");
  if (DOUBLE.test(value)) {
    meter.step(value.length);
    return Number(value);
  }
  const [, sign, name] = /^([+-]?)(inf|infinity|nan)$/i.exec(value) ?? [];
  if (name === undefined) throw new Fault("double_conversion_error");
  if (name.toLowerCase() === "nan") return Number.NaN;
  return sign === "-" ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY;
}

/** Of bytes, see `toUtf8`. */
export function toText(value: unknown): string {
  switch (kindOf(value)) {
    case "string":
      return value as string;
    case "bool":
    case "int":
    case "uint":
      return String(value);
    case "double":
      return doubleText(value as number);
    case "google.protobuf.Timestamp":
      return (value as Date).toISOString().replace(/\.?0*Z$/, "Z");
    case "google.protobuf.Duration":
      return durationText(value as Duration);
    default:
      throw new Fault("no_such_overload");
  }
}

function doubleText(value: number): string {
  if (value === Number.POSITIVE_INFINITY) return "+Inf";
  if (value === Number.NEGATIVE_INFINITY) return "-Inf";
  return Object.is(value, -0) ? "-0" : String(value);
}

function durationText(value: Duration): string {
  const nanoseconds = nanosecondsOf(value);
  const size = nanoseconds < 0n ? -nanoseconds : nanoseconds;
  const fraction = String(size % 1_000_000_000n)
    .padStart(9, "0")
    .replace(/0+$/, "");
  return `${nanoseconds < 0n ? "-" : ""}${size / 1_000_000_000n}${fraction === "" ? "" : `.${fraction}`}s`;
}

/** From seconds since 1970, or from the text of RFC 3339. */
export function convertToTimestamp(value: unknown): Date {
  if (value instanceof Date) return value;
  if (typeof value === "bigint") return toTimestamp(Number(value) * 1_000);
  if (typeof value !== "string") throw new Fault("no_such_overload");
  const [, date = "", time = "", fraction = "", zone = ""] =
    /^(\d{4}-\d\d-\d\d)T((?:[01]\d|2[0-3]):\d\d:\d\d)(\.\d{1,9})?(Z|[+-]\d\d:\d\d)$/.exec(value) ?? [];
  const midnight = Date.parse(`${date}T00:00:00Z`);
  // A day that the month does not have is taken for one of the next.
  const real = date !== "" && !Number.isNaN(midnight) && new Date(midnight).toISOString().startsWith(date);
  if (!real) throw new Fault("invalid_timestamp");
  const parsed = Date.parse(`${date}T${time}${fraction.slice(0, 4)}${zone}`);
  if (Number.isNaN(parsed)) throw new Fault("invalid_timestamp");
  return toTimestamp(parsed);
}
