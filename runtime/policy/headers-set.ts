import { toPointer } from "../document/pointer.ts";
import { isRecord, SchemaNodes } from "../document/schema-nodes.ts";
import type { JsonSchema } from "./definition.ts";

/** A header that a policy sets, as its parameters say. */
export interface HeaderSet {
  readonly direction: "request" | "response";
  /** In lower case. */
  readonly name: string;
  /** Where the parameters name it. */
  readonly pointer: string;
}

/**
 * The headers that a policy sets, by the keyword `setsHeader` of its parameters' schema: on a text, which is then
 * the header's name, on a list of names, or on a map whose keys are names.
 * @param params Checked parameters, filled with defaults.
 */
export function headersSet(schema: JsonSchema, params: unknown): HeaderSet[] {
  if (!mentionsHeaders(schema)) return [];
  const nodes = new SchemaNodes(schema, "possible");
  const found = new Map<string, HeaderSet>();

  function visit(value: unknown, schemas: readonly unknown[], path: string): void {
    const here = [...new Set(schemas.flatMap((each) => nodes.inPlace(each)))];
    for (const { setsHeader } of here) {
      if (setsHeader !== "request" && setsHeader !== "response") continue;
      for (const [name, pointer] of namesIn(value, path))
        found.set(`${setsHeader} ${name}`, { direction: setsHeader, name, pointer });
    }
    if (Array.isArray(value)) {
      for (const [index, item] of value.entries())
        visit(item, nodes.ofItem(here, index), path + toPointer([index]));
    } else if (isRecord(value)) {
      for (const [key, item] of Object.entries(value))
        visit(item, nodes.ofKey(here, key), path + toPointer([key]));
    }
  }

  visit(params, [schema], "");
  return [...found.values()];
}

function namesIn(value: unknown, path: string): [name: string, pointer: string][] {
  if (typeof value === "string") return value === "" ? [] : [[value.toLowerCase(), path]];
  if (Array.isArray(value))
    return value.flatMap((item, index) => namesOfItem(item, path + toPointer([index])));
  if (!isRecord(value)) return [];
  return Object.keys(value).map((name) => [name.toLowerCase(), path + toPointer([name])]);
}

function namesOfItem(item: unknown, path: string): [name: string, pointer: string][] {
  return typeof item === "string" ? [[item.toLowerCase(), path]] : [];
}

function mentionsHeaders(schema: unknown): boolean {
  if (Array.isArray(schema)) return schema.some(mentionsHeaders);
  if (!isRecord(schema)) return false;
  return typeof schema.setsHeader === "string" || Object.values(schema).some(mentionsHeaders);
}
