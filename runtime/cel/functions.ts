// The functions and methods of expressions. cel-js declares most of them; its own handlers are not used: they have no
// bounds, and some do not do what CEL says.
import { base64Decode, base64Encode, bytesAt, hex, json, toBytes, toUtf8 } from "./bytes.ts";
import { convertToInt, convertToTimestamp, convertToUint, toBool, toDouble, toText } from "./conversions.ts";
import { Fault } from "./fault.ts";
import { PATTERN_STEPS_PER_WORK } from "./limits.ts";
import type { Meter } from "./meter.ts";
import type { Pattern, PatternCache } from "./pattern.ts";
import * as texts from "./text-functions.ts";
import { TIME_PART_NAMES, timePart, toDurationFromText } from "./time-functions.ts";
import { contains, isDictionary, isList, lengthOf, sizeOf, typeOf } from "./values.ts";

/** What belongs to one expression. */
export interface Tools {
  readonly meter: Meter;
  readonly patterns: PatternCache;
}

/** With the receiver of a method first. Its operands have been paid for as read once. */
export type Implementation = (tools: Tools, a: unknown, b: unknown, c: unknown, d: unknown) => unknown;

const FUNCTIONS: Readonly<Record<string, Implementation>> = {
  dyn: (_, value) => value,
  type: (_, value) => typeOf(value),
  bool: (_, value) => toBool(value),
  int: (_, value) => convertToInt(value),
  uint: (_, value) => convertToUint(value),
  double: ({ meter }, value) => toDouble(value, meter),
  string: (_, value) => (value instanceof Uint8Array ? toUtf8(value) : toText(value)),
  bytes: (_, value) => toBytes(value),
  size: ({ meter }, value) => size(value, meter),
  timestamp: (_, value) => convertToTimestamp(value),
  duration: (_, value) => toDurationFromText(value),
};

const METHODS: Readonly<Record<string, Implementation>> = {
  size: ({ meter }, value) => size(value, meter),
  contains: (_, value, part) => texts.text(value).includes(texts.text(part)),
  startsWith: (_, value, part) => texts.text(value).startsWith(texts.text(part)),
  endsWith: (_, value, part) => texts.text(value).endsWith(texts.text(part)),
  matches: (tools, value, source) => matches(tools, texts.text(value), patternOf(tools, texts.text(source))),
  lowerAscii: ({ meter }, value) => texts.lowerAscii(meter, value),
  upperAscii: ({ meter }, value) => texts.upperAscii(meter, value),
  trim: ({ meter }, value) => texts.trim(meter, value),
  indexOf: ({ meter }, value, wanted, from) => texts.indexOf(meter, value, wanted, from),
  lastIndexOf: ({ meter }, value, wanted, from) => texts.lastIndexOf(meter, value, wanted, from),
  substring: ({ meter }, value, from, to) => texts.substring(meter, value, from, to),
  charAt: ({ meter }, value, at) => texts.charAt(meter, value, at),
  replace: ({ meter }, value, wanted, by, limit) => texts.replace(meter, value, wanted, by, limit),
  split: ({ meter }, value, separator, limit) => texts.split(meter, value, separator, limit),
  join: ({ meter }, list, separator) => texts.join(meter, list, separator),
  json: ({ meter }, value) => json(value, meter),
  hex: ({ meter }, value) => hex(value, meter),
  base64: ({ meter }, value) => base64Encode(value, meter),
  string: (_, value) => toUtf8(value),
  at: (_, value, index) => bytesAt(value, index),
  ...Object.fromEntries(
    TIME_PART_NAMES.map((name): [string, Implementation] => [
      name,
      ({ meter }, value, zone) => timePart(name, value, zone, meter),
    ]),
  ),
};

const NAMESPACED: Readonly<Record<string, Implementation>> = {
  "sets.contains": ({ meter }, all, some) => hasEvery(all, some, meter),
  "sets.equivalent": ({ meter }, left, right) => hasEvery(left, right, meter) && hasEvery(right, left, meter),
  "sets.intersects": ({ meter }, left, right) =>
    items(left, meter).some((item) => contains(right, item, meter)),
  "base64.encode": ({ meter }, value) => base64Encode(value, meter),
  "base64.decode": (_, value) => base64Decode(value),
};

/** What does a call; undefined where nothing does. The name of a namespace stands before that of its function. */
export function implementationOf(
  name: string,
  kind: "function" | "method" | "namespaced",
): Implementation | undefined {
  const table = kind === "function" ? FUNCTIONS : kind === "method" ? METHODS : NAMESPACED;
  return Object.hasOwn(table, name) ? table[name] : undefined;
}

/** In time linear in the text, unlike `matches` of cel-js. */
export function matches({ meter }: Tools, text: string, pattern: Pattern): boolean {
  meter.spend((text.length * pattern.instructions) / PATTERN_STEPS_PER_WORK);
  return pattern.test(text);
}

function patternOf({ meter, patterns }: Tools, source: string): Pattern {
  const pattern = patterns.get(source, (work) => meter.spend(work));
  if (typeof pattern === "string") throw new Fault("invalid_regular_expression");
  return pattern;
}

function size(value: unknown, meter: Meter): bigint {
  if (typeof value === "string") return BigInt(texts.textSize(value));
  if (value instanceof Uint8Array) return BigInt(value.length);
  if (isList(value) || isDictionary(value)) return BigInt(sizeOf(value, meter));
  throw new Fault("no_such_overload");
}

function items(value: unknown, meter: Meter): unknown[] {
  if (!isList(value)) throw new Fault("no_such_overload");
  meter.spend(lengthOf(value));
  return [...value];
}

function hasEvery(all: unknown, some: unknown, meter: Meter): boolean {
  return items(some, meter).every((item) => contains(all, item, meter));
}
