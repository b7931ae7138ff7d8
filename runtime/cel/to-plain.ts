import { Fault } from "./fault.ts";
import type { Meter } from "./meter.ts";
import {
  type Dictionary,
  Duration,
  isDictionary,
  isList,
  keysOf,
  lookUp,
  sizeOf,
  UnsignedInt,
} from "./values.ts";

/** Lists and maps inside each other in a value that an expression gives to a policy: they are copied recursively. */
export const MAX_VALUE_DEPTH = 32;

/** A value of CEL in what the language has for it; see `Expression.evaluate` of the SDK. Nothing in it is shared. */
export function toPlain(value: unknown, meter: Meter, depth = 0): unknown {
  meter.spend(1);
  switch (typeof value) {
    case "boolean":
    case "number":
    case "string":
      return value;
    case "bigint":
      return toNumber(value);
    case "object":
      return value === null ? null : fromObject(value, meter, depth);
    default:
      throw new Fault("unsupported_type");
  }
}

function fromObject(value: object, meter: Meter, depth: number): unknown {
  // Bytes may be those of a literal, which is the same for every exchange.
  if (value instanceof Uint8Array) return new Uint8Array(value);
  if (value instanceof Date) return new Date(value);
  if (value instanceof UnsignedInt) return toNumber(value.value);
  if (value instanceof Duration) return value.valueOf();
  if (!isList(value) && !isDictionary(value)) throw new Fault("unsupported_type");
  if (depth >= MAX_VALUE_DEPTH) throw new Fault("too_large");
  meter.iterate(sizeOf(value, meter), 1);
  const inner = (item: unknown): unknown => toPlain(item, meter, depth + 1);
  return isList(value) ? Array.from(value, inner) : fromEntries(value, inner);
}

/** Without a prototype, as the keys may be a client's. */
function fromEntries(dictionary: Dictionary, inner: (value: unknown) => unknown): object {
  const object: Record<string, unknown> = Object.create(null);
  for (const key of keysOf(dictionary)) {
    const name = String(inner(key));
    if (name in object) throw new Fault("duplicate_key");
    object[name] = inner(lookUp(dictionary, key));
  }
  return object;
}

function toNumber(value: bigint): number | bigint {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}
