import type { TValidationError } from "typebox/error";
import { fromPointer } from "./pointer.ts";

/** What people call the formats of JSON Schema. */
const FORMATS: Readonly<Record<string, string>> = {
  "date-time": 'a date and time such as "2026-01-31T12:00:00Z"',
  date: 'a date such as "2026-01-31"',
  duration: 'an ISO 8601 duration such as "PT30S"',
  email: "an e-mail address",
  hostname: "a host name",
  ipv4: "an IPv4 address",
  ipv6: "an IPv6 address",
  regex: "a regular expression",
  time: 'a time such as "12:00:00Z"',
  uri: 'a URI such as "https://example.com/"',
  url: 'a URL such as "https://example.com/"',
  uuid: "a UUID",
};

const TYPES: Readonly<Record<string, string>> = {
  array: "a list",
  boolean: "true or false",
  integer: "a whole number",
  null: "null",
  number: "a number",
  object: "a map",
  string: "a string",
};

/** What is wrong, said of a subject. Says what is needed and of what kind the value is, never the value. */
export function describeError(error: TValidationError, subject: string, actual: unknown): string {
  const { keyword, params } = error;
  switch (keyword) {
    case "type":
      return `${subject} must be ${describeTypes(params.type)}, not ${kindOf(actual)}`;
    case "enum":
      return `${subject} must be ${either(params.allowedValues.map((value) => JSON.stringify(value)))}`;
    case "const":
      return `${subject} must be ${JSON.stringify(params.allowedValue)}`;
    case "pattern":
      return `${subject} must match the pattern ${String(params.pattern)}`;
    case "format":
      return `${subject} must be ${FORMATS[params.format] ?? `of the format ${params.format}`}`;
    case "minimum":
      return `${subject} must be at least ${params.limit}`;
    case "maximum":
      return `${subject} must be at most ${params.limit}`;
    case "exclusiveMinimum":
      return `${subject} must be more than ${params.limit}`;
    case "exclusiveMaximum":
      return `${subject} must be less than ${params.limit}`;
    case "multipleOf":
      return `${subject} must be a multiple of ${params.multipleOf}`;
    case "minLength":
      if (params.limit === 1) return `${subject} must not be empty`;
      return `${subject} must have at least ${count(params.limit, "character")}`;
    case "maxLength":
      return `${subject} must have at most ${count(params.limit, "character")}`;
    case "minItems":
      if (params.limit === 1) return `${subject} must not be empty`;
      return `${subject} must have at least ${count(params.limit, "item")}`;
    case "maxItems":
      return `${subject} must have at most ${count(params.limit, "item")}`;
    case "minProperties":
      return `${subject} must have at least ${count(params.limit, "key")}`;
    case "maxProperties":
      return `${subject} must have at most ${count(params.limit, "key")}`;
    case "uniqueItems":
      return `${subject} must not list anything twice: ${count(params.duplicateItems.length, "item")} repeated`;
    case "contains":
      return `${subject} lacks an item that it must contain`;
    case "unevaluatedItems":
      return `${subject} has more items than are known here`;
    case "dependentRequired":
      return `${quoteAll([params.property])} needs ${quoteAll(params.dependencies)} beside it`;
    case "boolean":
      return `${subject} must not be given here`;
    case "not":
      return `${subject} is something that is not allowed here`;
    case "if":
      return `${subject} does not fit what its other values ask for`;
    case "oneOf":
      if (params.passingSchemas.length > 1) return `${subject} fits several forms where it must fit one`;
      return `${subject} has none of the allowed forms`;
    default:
      return `${subject} has none of the allowed forms`;
  }
}

/** The value at a pointer by a name for people: `"keys[0].name"`, or `The value` for the whole. */
export function subjectOf(pointer: string): string {
  const steps = fromPointer(pointer);
  if (steps.length === 0) return "The value";
  const name = steps.map((step, index) =>
    /^\d+$/.test(step) ? `[${step}]` : index === 0 ? step : `.${step}`,
  );
  return JSON.stringify(name.join(""));
}

export function describeTypes(types: string | readonly string[]): string {
  return either([types].flat().map((type) => TYPES[type] ?? type));
}

export function quoteAll(names: readonly string[]): string {
  return names.map((name) => JSON.stringify(name)).join(", ");
}

export function either(words: readonly string[]): string {
  if (words.length < 2) return words.join("");
  return `${words.slice(0, -1).join(", ")} or ${words.at(-1)}`;
}

function kindOf(value: unknown): string {
  if (value === null || value === undefined) return "null";
  if (Array.isArray(value)) return "a list";
  if (typeof value === "boolean") return "a boolean";
  return TYPES[typeof value] ?? typeof value;
}

function count(limit: number, noun: string): string {
  return `${limit} ${noun}${limit === 1 ? "" : "s"}`;
}
