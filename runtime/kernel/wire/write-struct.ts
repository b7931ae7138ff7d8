// google.protobuf.Struct from JSON, written last field first (see wire-writer.ts). Dynamic metadata goes to Envoy in it.
import type { WireWriter } from "./wire-writer.ts";

/** What a Struct can hold. */
export type Json = null | boolean | number | string | Json[] | JsonObject;
export interface JsonObject {
  [key: string]: Json;
}

/** The kinds of Value, by field number. */
const KIND = { null: 1, number: 2, string: 3, bool: 4, struct: 5, list: 6 } as const;

/**
 * Writes the fields of a Struct.
 * @throws {TypeError} If it is no JSON.
 */
export function writeStruct(writer: WireWriter, object: JsonObject): void {
  const keys = Object.keys(object);
  for (let index = keys.length - 1; index >= 0; index--) {
    const key = keys[index]!;
    const entry = writer.mark();
    writeValue(writer, 2, object[key]);
    writer.string(1, key);
    writer.record(1, entry);
  }
}

function writeValue(writer: WireWriter, field: number, value: Json | undefined): void {
  const mark = writer.mark();
  if (value === null) writer.varint(KIND.null, 0);
  else if (typeof value === "number") writer.double(KIND.number, value);
  else if (typeof value === "string") writer.string(KIND.string, value);
  else if (typeof value === "boolean") writer.varint(KIND.bool, value ? 1 : 0);
  else if (typeof value !== "object")
    throw new TypeError(`Cannot write metadata: a ${typeof value} is no JSON`);
  else {
    const inner = writer.mark();
    if (isList(value)) {
      for (let index = value.length - 1; index >= 0; index--) writeValue(writer, 1, value[index]);
    } else writeStruct(writer, value);
    writer.record(isList(value) ? KIND.list : KIND.struct, inner);
  }
  writer.record(field, mark);
}

function isList(value: Json[] | JsonObject): value is Json[] {
  return Array.isArray(value);
}
