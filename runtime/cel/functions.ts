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
import { contains, isDictionary, isList, sizeOf, typeOf } from "./values.ts";

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
  double: (_, value) => toDouble(value),
  string: (_, value) => (value instanceof Uint8Array ? toUtf8(value) : toText(value)),
  bytes: (_, value) => toBytes(value),
  size: (_, value) => size(value),
  timestamp: (_, value) => convertToTimestamp(value),
  duration: (_, value) => toDurationFromText(value),
};

const METHODS: Readonly<Record<string, Implementation>> = {
  size: (_, value) => size(value),
  contains: (_, value, part) => texts.text(value).includes(texts.text(part)),
  startsWith: (_, value, part) => texts.text(value).startsWith(texts.text(part)),
  endsWith: (_, value, part) => texts.text(value).endsWith(texts.text(part)),
  matches: (tools, value, source) => matches(tools, texts.text(value), patternOf(tools, texts.text(source))),
  lowerAscii: (_, value) => texts.lowerAscii(value),
  upperAscii: (_, value) => texts.upperAscii(value),
  trim: (_, value) => texts.trim(value),
  indexOf: (_, value, wanted, from) => texts.indexOf(value, wanted, from),
  lastIndexOf: (_, value, wanted, from) => texts.lastIndexOf(value, wanted, from),
  substring: (_, value, from, to) => texts.substring(value, from, to),
  charAt: (_, value, at) => texts.charAt(value, at),
  replace: (_, value, wanted, by, limit) => texts.replace(value, wanted, by, limit),
  split: (_, value, separator, limit) => texts.split(value, separator, limit),
  join: ({ meter }, list, separator) => texts.join(list, separator, meter),
  json: ({ meter }, value) => json(value, meter),
  hex: (_, value) => hex(value),
  base64: (_, value) => base64Encode(value),
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
  "sets.intersects": ({ meter }, left, right) => items(left).some((item) => contains(right, item, meter)),
  "base64.encode": (_, value) => base64Encode(value),
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

function size(value: unknown): bigint {
  if (typeof value === "string") return BigInt(texts.textSize(value));
  if (value instanceof Uint8Array) return BigInt(value.length);
  if (isList(value) || isDictionary(value)) return BigInt(sizeOf(value));
  throw new Fault("no_such_overload");
}

function items(value: unknown): unknown[] {
  if (!isList(value)) throw new Fault("no_such_overload");
  return [...value];
}

function hasEvery(all: unknown, some: unknown, meter: Meter): boolean {
  return items(some).every((item) => contains(all, item, meter));
}
