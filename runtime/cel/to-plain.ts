import { EvaluationError } from "@marcbachmann/cel-js";
import { Duration, UnsignedInt } from "@marcbachmann/cel-js/evaluator";
import { type Meter, tooLarge } from "./meter.ts";

/** Lists and maps inside each other in a value that an expression gives to a policy: they are copied recursively. */
export const MAX_VALUE_DEPTH = 32;

/** A value of CEL in what the language has for it; see `Expression.evaluate` of the SDK. Lists and maps are copied. */
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
      throw unsupported();
  }
}

function fromObject(value: object, meter: Meter, depth: number): unknown {
  if (value instanceof Uint8Array || value instanceof Date) return value;
  if (value instanceof UnsignedInt) return toNumber(value.value);
  if (value instanceof Duration) return value.valueOf();
  if (depth >= MAX_VALUE_DEPTH) throw tooLarge(`Nested deeper than ${MAX_VALUE_DEPTH}`);
  meter.iterate(value, 1);
  const inner = (item: unknown): unknown => toPlain(item, meter, depth + 1);
  if (Array.isArray(value) || value instanceof Set) return Array.from(value, inner);
  if (value instanceof Map) return fromEntries(value, inner);
  if (value.constructor === Object || value.constructor === undefined) {
    return fromEntries(Object.entries(value), inner);
  }
  throw unsupported();
}

/** Without a prototype, as the keys may be a client's. */
function fromEntries(entries: Iterable<[unknown, unknown]>, inner: (value: unknown) => unknown): object {
  const object: Record<string, unknown> = Object.create(null);
  for (const [key, value] of entries) {
    const name = String(inner(key));
    if (name in object) throw new EvaluationError({ code: "duplicate_key", message: "Duplicate key" });
    object[name] = inner(value);
  }
  return object;
}

function toNumber(value: bigint): number | bigint {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}

function unsupported(): EvaluationError {
  return new EvaluationError({ code: "unsupported_type", message: "Unsupported type" });
}
