// `+ - * / %` and the unary minus. What leaves the range of its type is an error.
import { Fault } from "./fault.ts";
import { MAX_ITEMS } from "./limits.ts";
import type { Meter } from "./meter.ts";
import { Duration, isList, lengthOf, nanosecondsOf, UnsignedInt } from "./values.ts";

const MIN_INT = -(2n ** 63n);
const MAX_INT = 2n ** 63n - 1n;
const NANOSECONDS = 1_000_000_000n;

const FIRST_TIME = Date.parse("0001-01-01T00:00:00Z");
const LAST_TIME = Date.parse("9999-12-31T23:59:59.999Z");

export type Operator = "+" | "-" | "*" | "/" | "%";

const ON_INTS: Readonly<Record<Operator, (left: bigint, right: bigint) => bigint>> = {
  "+": (left, right) => left + right,
  "-": (left, right) => left - right,
  "*": (left, right) => left * right,
  "/": (left, right) => left / notZero(right, "division_by_zero"),
  "%": (left, right) => left % notZero(right, "modulo_by_zero"),
};

/** @throws {Fault} */
export function calculate(operator: Operator, left: unknown, right: unknown, meter: Meter): unknown {
  if (typeof left === "bigint" && typeof right === "bigint") return toInt(ON_INTS[operator](left, right));
  if (typeof left === "number" && typeof right === "number") return onDoubles(operator, left, right);
  if (left instanceof UnsignedInt && right instanceof UnsignedInt) {
    return toUint(ON_INTS[operator](left.value, right.value));
  }
  if (operator === "+") return add(left, right, meter);
  if (operator === "-") return subtract(left, right);
  throw noOverload();
}

export function negate(value: unknown): unknown {
  if (typeof value === "bigint") return toInt(-value);
  if (typeof value === "number") return -value;
  throw noOverload();
}

export function toInt(value: bigint): bigint {
  if (value < MIN_INT || value > MAX_INT) throw new Fault("numeric_overflow");
  return value;
}

export function toUint(value: bigint): UnsignedInt {
  if (value < 0n || value >= 2n ** 64n) throw new Fault("numeric_overflow");
  return new UnsignedInt(value);
}

/** A duration of so many nanoseconds, at most 292 years: they fit an int. */
export function toDuration(nanoseconds: bigint): Duration {
  if (nanoseconds < MIN_INT || nanoseconds > MAX_INT) throw new Fault("out_of_range");
  return new Duration(nanoseconds / NANOSECONDS, Number(nanoseconds % NANOSECONDS));
}

/** A timestamp of so many milliseconds since 1970. */
export function toTimestamp(milliseconds: number): Date {
  // Also where it is not a number.
  if (!(milliseconds >= FIRST_TIME && milliseconds <= LAST_TIME)) throw new Fault("out_of_range");
  return new Date(milliseconds);
}

function onDoubles(operator: Operator, left: number, right: number): number {
  switch (operator) {
    case "+":
      return left + right;
    case "-":
      return left - right;
    case "*":
      return left * right;
    case "/":
      return left / right;
    default:
      throw noOverload();
  }
}

function add(left: unknown, right: unknown, meter: Meter): unknown {
  if (typeof left === "string" && typeof right === "string") {
    meter.make(left.length + right.length);
    meter.read(left);
    return left + right;
  }
  if (left instanceof Uint8Array && right instanceof Uint8Array) {
    meter.make(left.length + right.length);
    return Buffer.concat([left, right]);
  }
  if (isList(left) && isList(right)) {
    const size = lengthOf(left) + lengthOf(right);
    meter.spend(size);
    if (size > MAX_ITEMS) throw new Fault("too_large");
    return [...left, ...right];
  }
  if (left instanceof Duration) {
    if (right instanceof Duration) return toDuration(nanosecondsOf(left) + nanosecondsOf(right));
    if (right instanceof Date) return later(right, nanosecondsOf(left));
  }
  if (left instanceof Date && right instanceof Duration) return later(left, nanosecondsOf(right));
  throw noOverload();
}

function subtract(left: unknown, right: unknown): unknown {
  if (right instanceof Duration) {
    if (left instanceof Duration) return toDuration(nanosecondsOf(left) - nanosecondsOf(right));
    if (left instanceof Date) return later(left, -nanosecondsOf(right));
  }
  if (left instanceof Date && right instanceof Date) {
    return toDuration(BigInt(left.getTime() - right.getTime()) * 1_000_000n);
  }
  throw noOverload();
}

function later(time: Date, nanoseconds: bigint): Date {
  return toTimestamp(time.getTime() + Math.floor(Number(nanoseconds) / 1_000_000));
}

function notZero(divisor: bigint, code: string): bigint {
  if (divisor === 0n) throw new Fault(code);
  return divisor;
}

function noOverload(): Fault {
  return new Fault("no_such_overload");
}
