import { suggest } from "../document/nearest.ts";
import { toPointer } from "../document/pointer.ts";
import type { SchemaIssue } from "../document/schema.ts";
import { isRecord, setOwn } from "../document/schema-nodes.ts";
import type { JsonSchema } from "./definition.ts";

/** The types of the list form, as JSON Schema. */
const TYPES: Readonly<Record<string, JsonSchema>> = {
  string: { type: "string" },
  int: { type: "integer" },
  integer: { type: "integer" },
  number: { type: "number" },
  double: { type: "number" },
  boolean: { type: "boolean" },
  uri: { type: "string", format: "uri" },
  duration: {
    type: "string",
    pattern: "^(?:[0-9]+(?:\\.[0-9]+)?(?:ns|us|ms|s|m|h))+$",
    errorMessage: 'Must be a duration such as "250ms", "30s" or "1h30m"',
  },
  enum: {},
  array: { type: "array" },
  map: { type: "object" },
  object: { type: "object" },
};

/** What `validation` may hold, and the JSON Schema keyword it becomes. */
const VALIDATION: Readonly<Record<string, string>> = {
  enum: "enum",
  errorMessage: "errorMessage",
  format: "format",
  max: "maximum",
  maxItems: "maxItems",
  maxLength: "maxLength",
  maximum: "maximum",
  message: "errorMessage",
  min: "minimum",
  minItems: "minItems",
  minLength: "minLength",
  minimum: "minimum",
  pattern: "pattern",
  uniqueItems: "uniqueItems",
};

const NAMED_KEYS = ["name", "required"];
const KEYS = [
  ...["default", "description", "enum", "items", "properties"],
  ...["secret", "type", "validation", "values"],
];

/**
 * Converts the typed list of parameters, `- { name, type, required, description, default, validation, … }`, to
 * an object schema that knows no other keys. `enum` lists the values of an enum, `items` is the form of a
 * list's items, `values` that of a map's values, and `properties` is again such a list.
 */
export function fromTypedList(list: readonly unknown[]): { schema: JsonSchema; issues: SchemaIssue[] } {
  const issues: SchemaIssue[] = [];
  const report = (
    path: readonly (string | number)[],
    message: string,
    extra: Partial<SchemaIssue> = {},
  ): void => {
    issues.push({ pointer: toPointer(path), message, ...extra });
  };
  const schema = convertList(list, [], report);
  return { schema, issues };
}

type Path = readonly (string | number)[];
type Report = (path: Path, message: string, extra?: Partial<SchemaIssue>) => void;

function convertList(list: readonly unknown[], path: Path, report: Report): JsonSchema {
  const properties: Record<string, unknown> = {};
  const required: string[] = [];
  for (const [index, item] of list.entries()) {
    const at = [...path, index];
    if (!isRecord(item)) {
      report(at, 'A parameter must be a map with "name" and "type"');
      continue;
    }
    const { name } = item;
    if (typeof name !== "string" || name === "") {
      report([...at, "name"], 'A parameter must have a "name"');
    } else if (Object.hasOwn(properties, name)) {
      report([...at, "name"], `Duplicate parameter ${JSON.stringify(name)}`);
    }
    if (item.required !== undefined && typeof item.required !== "boolean") {
      report([...at, "required"], '"required" must be true or false');
    }
    const converted = convertItem(item, at, { report, keys: [...NAMED_KEYS, ...KEYS] });
    if (typeof name !== "string") continue;
    setOwn(properties, name, converted);
    if (item.required === true && !required.includes(name)) required.push(name);
  }
  return { type: "object", additionalProperties: false, required, properties };
}

interface ItemContext {
  readonly report: Report;
  readonly keys: readonly string[];
}

function convertItem(item: JsonSchema, path: Path, { report, keys }: ItemContext): JsonSchema {
  for (const key of Object.keys(item)) {
    if (keys.includes(key)) continue;
    const message = `Unknown key ${JSON.stringify(key)} of a parameter`;
    report([...path, key], message, { hint: suggest(key, keys), at: "key" });
  }
  const { type } = item;
  if (typeof type !== "string" || !Object.hasOwn(TYPES, type)) {
    const known = Object.keys(TYPES);
    const message = typeof type === "string" ? `Unknown type ${JSON.stringify(type)}` : 'A "type" is needed';
    report([...path, "type"], message, { hint: suggest(String(type ?? ""), known) });
    return {};
  }
  const schema: Record<string, unknown> = { ...TYPES[type] };
  for (const key of ["default", "description", "enum", "secret"]) if (key in item) schema[key] = item[key];
  if (type === "enum" && !("enum" in item) && !hasEnum(item.validation)) {
    report([...path, "enum"], 'The type enum needs "enum", a list of its values');
  }
  addValidation(schema, item.validation, { report, path: [...path, "validation"] });
  const nested = { report, keys: KEYS };
  if ("items" in item) {
    if (type !== "array") report([...path, "items"], '"items" is for the type array', { at: "key" });
    schema.items = convertNested(item.items, [...path, "items"], nested);
  }
  if ("values" in item) {
    if (type !== "map" && type !== "object")
      report([...path, "values"], '"values" is for maps', { at: "key" });
    schema.additionalProperties = convertNested(item.values, [...path, "values"], nested);
  }
  if ("properties" in item) {
    if (type !== "map" && type !== "object") report([...path, "properties"], '"properties" is for maps');
    if ("values" in item) report([...path, "values"], '"values" and "properties" exclude each other');
    if (Array.isArray(item.properties)) {
      Object.assign(schema, convertList(item.properties, [...path, "properties"], report));
    } else {
      report([...path, "properties"], '"properties" must be a list of parameters');
    }
  }
  return schema;
}

/** The form of items and values: a type's name, or a parameter without name. */
function convertNested(value: unknown, path: Path, context: ItemContext): JsonSchema {
  if (typeof value === "string") return convertItem({ type: value }, path, context);
  if (isRecord(value)) return convertItem(value, path, context);
  context.report(path, 'A type or a map with "type" is needed');
  return {};
}

function hasEnum(validation: unknown): boolean {
  return isRecord(validation) && "enum" in validation;
}

function addValidation(
  schema: Record<string, unknown>,
  validation: unknown,
  { report, path }: { report: Report; path: Path },
): void {
  if (validation === undefined) return;
  if (!isRecord(validation)) {
    report(path, '"validation" must be a map');
    return;
  }
  for (const [key, value] of Object.entries(validation)) {
    if (Object.hasOwn(VALIDATION, key)) {
      schema[VALIDATION[key]!] = value;
    } else {
      const hint = suggest(key, Object.keys(VALIDATION));
      report([...path, key], `Unknown key ${JSON.stringify(key)} of "validation"`, { hint, at: "key" });
    }
  }
}
