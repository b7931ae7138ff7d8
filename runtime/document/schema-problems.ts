import { Has as hasFormat, Entries as knownFormats } from "typebox/format";
import { suggest } from "./nearest.ts";
import { toPointer } from "./pointer.ts";
import type { SchemaIssue } from "./schema-issue.ts";
import { inPlaceOf, isRecord, LISTS, MAPS, resolveRef, type SchemaNode, SINGLE } from "./schema-nodes.ts";

const TYPES = ["array", "boolean", "integer", "null", "number", "object", "string"];
const COUNTS = [
  "maxContains",
  "maxItems",
  "maxLength",
  "maxProperties",
  "minContains",
  "minItems",
  "minLength",
  "minProperties",
];
const NUMBERS = ["exclusiveMaximum", "exclusiveMinimum", "maximum", "minimum", "multipleOf"];
const STRINGS = ["$comment", "$ref", "$schema", "description", "errorMessage", "format", "pattern", "title"];
const BOOLEANS = ["deprecated", "readOnly", "secret", "uniqueItems", "writeOnly"];
const OTHERS = [
  "const",
  "default",
  "dependentRequired",
  "enum",
  "examples",
  "required",
  "setsHeader",
  "type",
];
const KEYWORDS = [
  ...[...SINGLE, ...MAPS, ...LISTS],
  ...[...COUNTS, ...NUMBERS, ...STRINGS, ...BOOLEANS, ...OTHERS],
].sort();

/** Where the value may or may not be described by the schema, so that a default would come and go. */
const UNCERTAIN = new Set(["anyOf", "oneOf", "not", "if", "then", "else", "dependentSchemas", "contains"]);

interface Visit {
  readonly schema: unknown;
  readonly path: readonly string[];
  readonly certain: boolean;
}

/**
 * What is wrong with a JSON Schema itself. Stricter than the standard, which ignores what it does not know: an
 * unknown keyword, type or format here is an error, and so is a reference that leads out of the schema.
 */
export function schemaProblems(root: unknown): SchemaIssue[] {
  if (!isRecord(root)) return [{ pointer: "", message: "A schema must be a map" }];
  const issues: SchemaIssue[] = [];
  const todo: Visit[] = [{ schema: root, path: [], certain: true }];
  const endless = new Set<SchemaNode>();
  while (todo.length > 0) {
    const { schema, path, certain } = todo.pop()!;
    if (typeof schema === "boolean") continue;
    if (!isRecord(schema)) {
      issues.push({ pointer: toPointer(path), message: "A schema must be a map, true or false" });
      continue;
    }
    const at = (keyword: string, message: string, extra: Partial<SchemaIssue> = {}): void => {
      issues.push({ pointer: toPointer([...path, keyword]), message, ...extra });
    };
    for (const [keyword, value] of Object.entries(schema)) checkKeyword(keyword, value, at);
    checkReference(root, schema, { at, endless });
    checkSecret(schema, at);
    if ("default" in schema && !certain) {
      at(
        "default",
        "A default cannot stand where the schema may not apply (anyOf, oneOf, not, if, contains)",
      );
    }
    todo.push(...subschemas(schema, path, certain));
  }
  return issues.sort((a, b) => (a.pointer < b.pointer ? -1 : a.pointer > b.pointer ? 1 : 0));
}

function subschemas(schema: SchemaNode, path: readonly string[], certain: boolean): Visit[] {
  const found: Visit[] = [];
  const add = (value: unknown, ...steps: string[]): void => {
    const still = certain && !UNCERTAIN.has(steps[0]!);
    found.push({ schema: value, path: [...path, ...steps], certain: still });
  };
  for (const keyword of SINGLE) if (keyword in schema) add(schema[keyword], keyword);
  for (const keyword of MAPS) {
    const map = schema[keyword];
    if (isRecord(map)) for (const [key, value] of Object.entries(map)) add(value, keyword, key);
  }
  for (const keyword of LISTS) {
    const list = schema[keyword];
    if (Array.isArray(list)) for (const [index, value] of list.entries()) add(value, keyword, String(index));
  }
  return found;
}

/** The validator would take what every object inherits for a key that is given. */
function checkNames(names: readonly string[], report: (message: string) => void): void {
  for (const name of names) {
    if (name in {})
      report(`Cannot use the name ${JSON.stringify(name)}: every JavaScript object has it already`);
  }
}

type At = (keyword: string, message: string, extra?: Partial<SchemaIssue>) => void;

function checkKeyword(keyword: string, value: unknown, at: At): void {
  if (!KEYWORDS.includes(keyword)) {
    at(keyword, `Unknown schema keyword ${JSON.stringify(keyword)}`, {
      hint: suggest(keyword, KEYWORDS),
      at: "key",
    });
  } else if (COUNTS.includes(keyword) && !(Number.isSafeInteger(value) && (value as number) >= 0)) {
    at(keyword, `"${keyword}" must be a whole number, 0 or more`);
  } else if (NUMBERS.includes(keyword) && typeof value !== "number") {
    at(keyword, `"${keyword}" must be a number`);
  } else if (keyword === "multipleOf" && (value as number) <= 0) {
    at(keyword, '"multipleOf" must be more than 0');
  } else if (STRINGS.includes(keyword) && typeof value !== "string") {
    at(keyword, `"${keyword}" must be a string`);
  } else if (BOOLEANS.includes(keyword) && typeof value !== "boolean") {
    at(keyword, `"${keyword}" must be true or false`);
  } else if ((MAPS as readonly string[]).includes(keyword) && !isRecord(value)) {
    at(keyword, `"${keyword}" must be a map of schemas`);
  } else if ((LISTS as readonly string[]).includes(keyword) && !(Array.isArray(value) && value.length > 0)) {
    at(keyword, `"${keyword}" must be a list of schemas`);
  } else if (keyword === "setsHeader" && value !== "request" && value !== "response") {
    at(keyword, '"setsHeader" must be "request" or "response"');
  } else if (keyword === "enum" && !(Array.isArray(value) && value.length > 0)) {
    at(keyword, '"enum" must be a list of values');
  } else if (keyword === "required" && !isStringList(value)) {
    at(keyword, '"required" must be a list of different names');
  } else if (
    keyword === "dependentRequired" &&
    !(isRecord(value) && Object.values(value).every(isStringList))
  ) {
    at(keyword, '"dependentRequired" must be a map of lists of names');
  } else if (keyword === "required" || keyword === "properties") {
    const names = Array.isArray(value) ? value : Object.keys(value as object);
    checkNames(names, (message) => at(keyword, message));
  } else if (keyword === "type") {
    checkType(value, at);
  } else if (keyword === "format" && !hasFormat(value as string)) {
    const known = knownFormats().map(([name]) => name);
    at(keyword, `Unknown format ${JSON.stringify(value)}`, { hint: suggest(value as string, known) });
  } else if (keyword === "pattern") {
    checkPattern(value as string, (message) => at(keyword, message));
  } else if (keyword === "patternProperties") {
    for (const pattern of Object.keys(value as object)) {
      checkPattern(pattern, (message) => at(keyword, message));
    }
  }
}

function checkType(value: unknown, at: At): void {
  for (const type of Array.isArray(value) ? value : [value]) {
    if (TYPES.includes(type)) continue;
    const hint = typeof type === "string" ? suggest(type, TYPES) : `Known here: ${TYPES.join(", ")}`;
    at("type", `Unknown type ${JSON.stringify(type)}`, { hint });
  }
  if (Array.isArray(value) && value.length === 0) at("type", '"type" must name a type');
}

function checkPattern(pattern: string, report: (message: string) => void): void {
  try {
    new RegExp(pattern, "u");
  } catch (error) {
    const reason = error instanceof Error ? error.message.replace(/^Invalid regular expression: /, "") : "";
    report(`Cannot use the pattern ${JSON.stringify(pattern)}: ${reason}`);
  }
}

interface ReferenceContext {
  readonly at: At;
  readonly endless: Set<SchemaNode>;
}

function checkReference(root: SchemaNode, schema: SchemaNode, { at, endless }: ReferenceContext): void {
  const { $ref } = schema;
  if (typeof $ref !== "string") return;
  if (!/^#(?:\/|$)/.test($ref)) {
    const hint = 'Put it under "$defs" and refer to "#/$defs/NAME"';
    at("$ref", `Cannot follow ${JSON.stringify($ref)}: only references within the schema are followed`, {
      hint,
    });
    return;
  }
  const target = resolveRef(root, $ref);
  if (typeof target !== "boolean" && !isRecord(target)) {
    at("$ref", `Cannot follow ${JSON.stringify($ref)}: there is no schema at that place`);
    return;
  }
  if (endless.has(schema) || !leadsBack(root, schema)) return;
  endless.add(schema);
  at("$ref", `Cannot follow ${JSON.stringify($ref)}: it leads back to itself without looking at any part`);
}

/** Whether applying a schema means applying it to the same value again, without end. */
function leadsBack(root: SchemaNode, start: SchemaNode): boolean {
  const seen = new Set<unknown>();
  const todo = [start];
  while (todo.length > 0) {
    const node = todo.pop()!;
    for (const next of [...inPlaceOf(root, node, "possible"), node.not]) {
      if (next === start) return true;
      if (!isRecord(next) || seen.has(next)) continue;
      seen.add(next);
      todo.push(next);
    }
  }
  return false;
}

function checkSecret(schema: SchemaNode, at: At): void {
  if (schema.secret !== true) return;
  if (schema.type !== "string") at("secret", 'A secret must have "type: string" beside it');
  for (const keyword of ["default", "const", "enum", "examples"]) {
    if (keyword in schema) at(keyword, `A secret cannot have "${keyword}": it would be public`);
  }
}

function isStringList(value: unknown): boolean {
  if (!Array.isArray(value) || !value.every((item) => typeof item === "string")) return false;
  return new Set(value).size === value.length;
}
