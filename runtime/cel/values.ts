// The values of CEL: int is a bigint, double a number, bytes a Uint8Array, a timestamp a Date, a list an array or a set,
// a map a Map or an object without a class.
import { Duration, UnsignedInt } from "@marcbachmann/cel-js/evaluator";
import { checker } from "./environment.ts";
import { Fault } from "./fault.ts";
import { FIELDS } from "./fields.ts";
import type { Meter } from "./meter.ts";
import {
  AuthVariable,
  ClientVariable,
  OriginalVariable,
  RequestVariable,
  ResponseVariable,
} from "./variables.ts";

export { Duration, UnsignedInt };

/** The name of a value's type; `object` for the engine's own. */
export type Kind =
  | ("bool" | "int" | "uint" | "double" | "string" | "bytes" | "null_type" | "list" | "map" | "type")
  | ("google.protobuf.Timestamp" | "google.protobuf.Duration" | "object");

export type List = readonly unknown[] | ReadonlySet<unknown>;
export type Dictionary = ReadonlyMap<unknown, unknown> | Readonly<Record<string, unknown>>;

const OWN_TYPES: ReadonlyMap<unknown, Readonly<Record<string, string>>> = new Map<
  unknown,
  Readonly<Record<string, string>>
>([
  [RequestVariable.prototype, FIELDS.Request],
  [OriginalVariable.prototype, FIELDS.Original],
  [ResponseVariable.prototype, FIELDS.Response],
  [ClientVariable.prototype, FIELDS.Client],
  [AuthVariable.prototype, FIELDS.Auth],
]);

const TYPE_NAMES = [
  ...["bool", "int", "uint", "double", "string", "bytes", "null_type", "list", "map", "type"],
  ...["google.protobuf.Timestamp", "google.protobuf.Duration"],
];
let types: ReadonlyMap<string, unknown> | undefined;

/** Types as values, as cel-js has them: those an expression names are the same objects. */
function typeValues(): ReadonlyMap<string, unknown> {
  types ??= new Map(TYPE_NAMES.map((name) => [name, checker().environment.evaluate(name, {})]));
  return types;
}

/** @throws {Fault} For what is no value of CEL, such as a promise that a policy put into the metadata. */
export function kindOf(value: unknown): Kind {
  switch (typeof value) {
    case "string":
      return "string";
    case "boolean":
      return "bool";
    case "bigint":
      return "int";
    case "number":
      return "double";
    case "object":
      return value === null ? "null_type" : kindOfObject(value);
    default:
      throw new Fault("unsupported_type");
  }
}

function isType(value: object): boolean {
  for (const type of typeValues().values()) if (type === value) return true;
  return false;
}

function kindOfObject(value: object): Kind {
  if (Array.isArray(value) || value instanceof Set) return "list";
  if (isDictionary(value)) return "map";
  if (value instanceof UnsignedInt) return "uint";
  if (value instanceof Uint8Array) return "bytes";
  if (value instanceof Date) return "google.protobuf.Timestamp";
  if (value instanceof Duration) return "google.protobuf.Duration";
  if (isType(value)) return "type";
  if (OWN_TYPES.has(Object.getPrototypeOf(value))) return "object";
  throw new Fault("unsupported_type");
}

/** The type of a value, as a value. */
export function typeOf(value: unknown): unknown {
  const type = typeValues().get(kindOf(value));
  if (type === undefined) throw new Fault("no_such_overload");
  return type;
}

/** The fields of a value whose type is the engine's own. */
export function fieldsOfValue(value: object): Readonly<Record<string, string>> | undefined {
  return OWN_TYPES.get(Object.getPrototypeOf(value));
}

export function isList(value: unknown): value is List {
  return Array.isArray(value) || value instanceof Set;
}

/** Looks at the prototype: a map parsed from JSON may have a key `constructor`. */
export function isDictionary(value: unknown): value is Dictionary {
  if (typeof value !== "object" || value === null) return false;
  if (value instanceof Map) return true;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

export function lengthOf(list: List): number {
  return list instanceof Set ? list.size : (list as readonly unknown[]).length;
}

/** Unlike all others, objects have their keys counted each time. */
export function sizeOf(value: List | Dictionary, meter: Meter): number {
  if (isList(value)) return lengthOf(value);
  if (value instanceof Map) return value.size;
  const { length } = Object.keys(value);
  meter.count(length);
  return length;
}

export function keysOf(value: Dictionary): unknown[] {
  return value instanceof Map ? [...value.keys()] : Object.keys(value);
}

/** The value of a key; undefined where there is none. Keys that are equal numbers are the same. */
export function lookUp(dictionary: Dictionary, key: unknown): unknown {
  if (typeof key === "string") {
    if (dictionary instanceof Map) return dictionary.get(key);
    return Object.hasOwn(dictionary, key) ? (dictionary as Record<string, unknown>)[key] : undefined;
  }
  if (!(dictionary instanceof Map)) return undefined;
  const plain = plainKey(key);
  const found: unknown = dictionary.get(plain);
  // A policy's own map has numbers.
  return found === undefined && typeof plain === "bigint" ? dictionary.get(Number(plain)) : found;
}

/** A key as the maps that expressions make hold it. */
export function plainKey(key: unknown): unknown {
  if (typeof key === "number") return Number.isInteger(key) ? BigInt(key) : key;
  return key instanceof UnsignedInt ? key.value : key;
}

/** Values of different types are different, but numbers of the same value are equal. */
export function equals(left: unknown, right: unknown, meter: Meter): boolean {
  if (typeof left !== "object" || left === null) {
    meter.read(left);
    if (left === right) return true;
    const number = numberOf(left);
    if (number !== undefined) return sameNumber(number, numberOf(right));
    if (typeof right === "object" && right !== null) kindOf(right);
    else if (left === undefined || typeof left === "function") kindOf(left);
    return false;
  }
  if (isList(left)) return isList(right) && sameItems(left, right, meter);
  if (isDictionary(left)) return isDictionary(right) && sameEntries(left, right, meter);
  if (left instanceof Uint8Array) {
    meter.read(left);
    return right instanceof Uint8Array && Buffer.compare(left, right) === 0;
  }
  if (left instanceof UnsignedInt) return sameNumber(left.value, numberOf(right));
  if (left instanceof Date) return right instanceof Date && left.getTime() === right.getTime();
  if (left instanceof Duration)
    return right instanceof Duration && nanosecondsOf(left) === nanosecondsOf(right);
  kindOf(left);
  return left === right;
}

function sameItems(left: List, right: List, meter: Meter): boolean {
  const size = lengthOf(left);
  if (size !== lengthOf(right)) return false;
  meter.spend(size);
  const others = right[Symbol.iterator]();
  for (const item of left) if (!equals(item, others.next().value, meter)) return false;
  return true;
}

function sameEntries(left: Dictionary, right: Dictionary, meter: Meter): boolean {
  const size = sizeOf(left, meter);
  if (size !== sizeOf(right, meter)) return false;
  meter.spend(size);
  for (const key of keysOf(left)) {
    const other = lookUp(right, key);
    if (other === undefined || !equals(lookUp(left, key), other, meter)) return false;
  }
  return true;
}

/** Whether a list has an item, or a map a key. */
export function contains(holder: unknown, value: unknown, meter: Meter): boolean {
  if (isDictionary(holder)) {
    if (typeof value === "object" && !(value instanceof UnsignedInt)) throw new Fault("no_such_overload");
    return lookUp(holder, value) !== undefined;
  }
  if (!isList(holder)) throw new Fault("no_such_overload");
  meter.spend(lengthOf(holder));
  for (const item of holder) if (equals(item, value, meter)) return true;
  return false;
}

/** A number below, at or above 0; undefined where one of them is not a number. */
export function order(left: unknown, right: unknown, meter: Meter): number | undefined {
  meter.read(left);
  if (typeof left === "string" && typeof right === "string") return orderTexts(left, right);
  const number = numberOf(left);
  const other = numberOf(right);
  if (number !== undefined && other !== undefined) return orderNumbers(number, other);
  if (typeof left === "boolean" && typeof right === "boolean") return Number(left) - Number(right);
  if (left instanceof Uint8Array && right instanceof Uint8Array) return Buffer.compare(left, right);
  if (left instanceof Date && right instanceof Date) return left.getTime() - right.getTime();
  if (left instanceof Duration && right instanceof Duration) {
    const difference = nanosecondsOf(left) - nanosecondsOf(right);
    return difference < 0n ? -1 : Number(difference > 0n);
  }
  throw new Fault("no_such_overload");
}

/** An int and a double are compared as doubles. */
function sameNumber(left: number | bigint, right: number | bigint | undefined): boolean {
  return typeof left === typeof right
    ? left === right
    : right !== undefined && Number(left) === Number(right);
}

function orderNumbers(left: number | bigint, right: number | bigint): number | undefined {
  const alike = typeof left === typeof right;
  const [a, b] = alike ? [left, right] : [Number(left), Number(right)];
  if (a < b) return -1;
  if (a > b) return 1;
  return a === b ? 0 : undefined;
}

/** By code points: those of surrogate pairs are above all others. */
function orderTexts(left: string, right: string): number {
  if (left === right) return 0;
  const length = Math.min(left.length, right.length);
  for (let index = 0; index < length; index++) {
    const a = left.charCodeAt(index);
    const b = right.charCodeAt(index);
    if (a === b) continue;
    const aPair = a >= 0xd800 && a <= 0xdfff;
    const bPair = b >= 0xd800 && b <= 0xdfff;
    return aPair === bPair ? a - b : Number(aPair) - Number(bPair);
  }
  return left.length - right.length;
}

export function numberOf(value: unknown): number | bigint | undefined {
  if (typeof value === "bigint" || typeof value === "number") return value;
  return value instanceof UnsignedInt ? value.value : undefined;
}

export function nanosecondsOf(duration: Duration): bigint {
  return duration.seconds * 1_000_000_000n + BigInt(duration.nanos);
}
