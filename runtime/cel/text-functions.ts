// Methods of strings. Positions count code points, as CEL has it.
import { Fault } from "./fault.ts";
import { MAX_SPLIT_TEXT } from "./limits.ts";
import type { Meter } from "./meter.ts";
import { isList, lengthOf } from "./values.ts";

/** White_Space of Unicode above ASCII; not all of it is white space for JavaScript, and the other way round. */
const WHITE_SPACE: ReadonlySet<number> = new Set([
  ...[0x85, 0xa0, 0x1680, 0x2000, 0x2001, 0x2002, 0x2003, 0x2004, 0x2005, 0x2006, 0x2007, 0x2008, 0x2009],
  ...[0x200a, 0x2028, 0x2029, 0x202f, 0x205f, 0x3000],
]);
const SURROGATE = /[\ud800-\udfff]/;
const BEYOND_ASCII = /[^\0-\x7f]/;
/** What a letter of ASCII differs by from its other case. */
const CASE = 0x20;

export function text(value: unknown): string {
  if (typeof value !== "string") throw new Fault("no_such_overload");
  return value;
}

/** How many code points there are. */
export function textSize(value: string): number {
  let size = value.length;
  for (let index = 0; index < value.length; index++) {
    const unit = value.charCodeAt(index);
    if (unit < 0xd800 || unit > 0xdbff) continue;
    const next = value.charCodeAt(index + 1);
    if (next >= 0xdc00 && next <= 0xdfff) {
      size--;
      index++;
    }
  }
  return size;
}

/** Only the letters of ASCII: others, when changed, may become ASCII ones. */
export function lowerAscii(meter: Meter, value: unknown): string {
  const whole = text(value);
  return BEYOND_ASCII.test(whole) ? withCase(whole, "A", meter) : whole.toLowerCase();
}

export function upperAscii(meter: Meter, value: unknown): string {
  const whole = text(value);
  return BEYOND_ASCII.test(whole) ? withCase(whole, "a", meter) : whole.toUpperCase();
}

/** Gives letters the other case, from this one to the last of its alphabet; in one pass, whatever stands between. */
function withCase(whole: string, first: "A" | "a", meter: Meter): string {
  meter.step(whole.length);
  const from = first.charCodeAt(0);
  const units = Buffer.from(whole, "utf16le");
  for (let at = 0; at < units.length; at += 2) {
    const low = units[at]!;
    if (low >= from && low < from + 26 && units[at + 1] === 0) units[at] = low ^ CASE;
  }
  return units.toString("utf16le");
}

/** Without white space of Unicode at both ends; regular expressions would go over inner white space again and again. */
export function trim(meter: Meter, value: unknown): string {
  const whole = text(value);
  let start = 0;
  let end = whole.length;
  while (start < end && isWhiteSpace(whole.charCodeAt(start))) start++;
  while (end > start && isWhiteSpace(whole.charCodeAt(end - 1))) end--;
  meter.step(whole.length - (end - start));
  return whole.slice(start, end);
}

function isWhiteSpace(unit: number): boolean {
  return unit === 0x20 || (unit >= 0x09 && unit <= 0x0d) || (unit > 0x7f && WHITE_SPACE.has(unit));
}

export function indexOf(meter: Meter, value: unknown, wanted: unknown, from: unknown = 0n): bigint {
  const points = new CodePoints(text(value), meter);
  const start = points.unitOf(position(from, points.length));
  return BigInt(points.pointOf(points.value.indexOf(text(wanted), start)));
}

export function lastIndexOf(meter: Meter, value: unknown, wanted: unknown, from?: unknown): bigint {
  const points = new CodePoints(text(value), meter);
  const start = from === undefined ? points.value.length : points.unitOf(position(from, points.length));
  return BigInt(points.pointOf(points.value.lastIndexOf(text(wanted), start)));
}

export function substring(meter: Meter, value: unknown, from: unknown, to?: unknown): string {
  const points = new CodePoints(text(value), meter);
  const start = position(from, points.length);
  const end = to === undefined ? points.length : position(to, points.length);
  if (end < start) throw new Fault("index_out_of_bounds");
  return points.value.slice(points.unitOf(start), points.unitOf(end));
}

/** The empty string just behind the last one. */
export function charAt(meter: Meter, value: unknown, at: unknown): string {
  const points = new CodePoints(text(value), meter);
  const index = position(at, points.length);
  return points.value.slice(points.unitOf(index), points.unitOf(Math.min(index + 1, points.length)));
}

export function split(meter: Meter, value: unknown, separator: unknown, limit: unknown = -1n): string[] {
  const whole = bounded(text(value), meter);
  const by = text(separator);
  const most = count(limit);
  if (most === 0) return [];
  const parts = by === "" ? Array.from(whole) : whole.split(by);
  if (most < 0 || parts.length <= most) return parts;
  return [...parts.slice(0, most - 1), parts.slice(most - 1).join(by)];
}

export function replace(
  meter: Meter,
  value: unknown,
  wanted: unknown,
  by: unknown,
  limit: unknown = -1n,
): string {
  const whole = bounded(text(value), meter);
  const old = text(wanted);
  const fresh = text(by);
  const most = count(limit);
  const parts = old === "" ? ["", ...Array.from(whole), ""] : whole.split(old);
  const times = most < 0 ? parts.length - 1 : Math.min(most, parts.length - 1);
  meter.make(whole.length + times * fresh.length);
  return [parts.slice(0, times + 1).join(fresh), ...parts.slice(times + 1)].join(old);
}

export function join(meter: Meter, list: unknown, separator: unknown): string {
  if (!isList(list)) throw new Fault("no_such_overload");
  const by = separator === undefined ? "" : text(separator);
  const size = lengthOf(list);
  meter.spend(size);
  let length = by.length * size;
  for (const item of list) length += text(item).length;
  meter.make(length);
  return [...list].join(by);
}

/** A text by code points; those of most texts are its units. */
class CodePoints {
  readonly value: string;
  /** Where each code point begins; undefined where that is its own number. */
  readonly #starts: number[] | undefined;

  constructor(value: string, meter: Meter) {
    this.value = value;
    if (!SURROGATE.test(value)) return;
    bounded(value, meter);
    const starts: number[] = [];
    let unit = 0;
    for (const point of value) {
      starts.push(unit);
      unit += point.length;
    }
    this.#starts = starts;
  }

  get length(): number {
    return this.#starts?.length ?? this.value.length;
  }

  unitOf(point: number): number {
    return this.#starts === undefined ? point : (this.#starts[point] ?? this.value.length);
  }

  pointOf(unit: number): number {
    if (this.#starts === undefined || unit < 0) return unit;
    const point = this.#starts.indexOf(unit);
    return point < 0 ? this.#starts.length : point;
  }
}

/** What becomes many small texts is not too long, and paid for as such. */
function bounded(value: string, meter: Meter): string {
  if (value.length > MAX_SPLIT_TEXT) throw new Fault("too_large");
  meter.step(value.length);
  return value;
}

function position(value: unknown, most: number): number {
  if (typeof value !== "bigint") throw new Fault("no_such_overload");
  if (value < 0n || value > BigInt(most)) throw new Fault("index_out_of_bounds");
  return Number(value);
}

function count(value: unknown): number {
  if (typeof value !== "bigint") throw new Fault("no_such_overload");
  return Number(value);
}
