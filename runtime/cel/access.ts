// Reading a part of a value.
import { Fault, placed } from "./fault.ts";
import { StringMap } from "./string-map.ts";
import { fieldsOfValue, isDictionary, isList, kindOf, lengthOf, lookUp, plainKey } from "./values.ts";

/** What a list or a map has for a key. */
export function read(holder: unknown, key: unknown, at: number): unknown {
  const value = find(holder, key, at);
  if (value === undefined) {
    // A header or a query parameter that is missing reads as an empty text.
    if (holder instanceof StringMap && typeof key === "string") return "";
    throw new Fault("no_such_key", at);
  }
  // What is no value of CEL, such as a promise, is found where it is read.
  if (typeof value === "object" || typeof value === "function") checkKind(value, at);
  return value;
}

/** What a list, a map or a value of a type of our own has for a key; undefined where it has nothing. */
export function find(holder: unknown, key: unknown, at: number): unknown {
  if (isDictionary(holder)) return lookUp(holder, key);
  if (isList(holder)) return itemAt(holder, key, at);
  if (typeof holder === "object" && holder !== null && typeof key === "string") {
    const fields = fieldsOfValue(holder);
    if (fields !== undefined) {
      return Object.hasOwn(fields, key) ? (holder as Record<string, unknown>)[key] : undefined;
    }
  }
  throw new Fault("no_such_overload", at);
}

function itemAt(list: readonly unknown[] | ReadonlySet<unknown>, key: unknown, at: number): unknown {
  const index = plainKey(key);
  if (typeof index !== "bigint") throw new Fault("no_such_overload", at);
  if (index < 0n || index >= lengthOf(list)) throw new Fault("index_out_of_bounds", at);
  return (Array.isArray(list) ? list : [...list])[Number(index)];
}

/** @throws {Fault} For what is no value of CEL. */
export function checkKind(value: unknown, at: number): void {
  try {
    kindOf(value);
  } catch (error) {
    throw placed(error, at);
  }
}
