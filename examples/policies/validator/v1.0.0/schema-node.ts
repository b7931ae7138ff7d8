import type { Place, Report } from "./report.ts";

/** Checks a value of a body and reports what is wrong with it. */
export type Check = (value: unknown, place: Place | undefined, report: Report) => void;

/** A problem of the schema itself, with where in it. */
export type Refuse = (pointer: string, message: string) => void;

export type JsonObject = { readonly [name: string]: unknown };

export function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The type of a value, in the words of JSON Schema. */
export function typeOf(value: unknown): "null" | "array" | "object" | "string" | "boolean" | "number" {
  if (value === null) return "null";
  if (Array.isArray(value)) return "array";
  return typeof value as "object" | "string" | "boolean" | "number";
}

/** Whether two values of JSON are the same; names may be in another order. */
export function isEqual(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (Array.isArray(a) && Array.isArray(b)) {
    return a.length === b.length && a.every((item, index) => isEqual(item, b[index]));
  }
  if (!isObject(a) || !isObject(b)) return false;
  const names = Object.keys(a);
  return (
    names.length === Object.keys(b).length &&
    names.every((name) => Object.hasOwn(b, name) && isEqual(a[name], b[name]))
  );
}
