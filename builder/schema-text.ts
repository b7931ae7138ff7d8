import type { JsonSchema } from "../runtime/policy/definition.ts";

/** Lines of a description that are written; the rest is in the definition. */
const MAX_COMMENT_LINES = 20;
/** Characters of a default that are written in a comment. */
const MAX_DEFAULT = 200;

export function isSchema(value: unknown): value is JsonSchema {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** What `#/a/b` leads to; undefined when it leads nowhere or out of the document. */
export function resolvePointer(root: JsonSchema, ref: string): unknown {
  if (ref !== "#" && !ref.startsWith("#/")) return undefined;
  let value: unknown = root;
  for (const step of ref.split("/").slice(1)) {
    let key: string;
    try {
      key = decodeURIComponent(step).replaceAll("~1", "/").replaceAll("~0", "~");
    } catch {
      return undefined;
    }
    if (Array.isArray(value)) value = value[Number(key)];
    else value = isSchema(value) && Object.hasOwn(value, key) ? value[key] : undefined;
  }
  return value;
}

/** Whether a schema leads back to itself through `$ref` and combinations alone. */
export function isHeadCycle(root: JsonSchema, ref: string): boolean {
  const seen = new Set<string>();
  const waiting = headRefs(resolvePointer(root, ref));
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    if (next === ref) return true;
    if (seen.has(next)) continue;
    seen.add(next);
    waiting.push(...headRefs(resolvePointer(root, next)));
  }
  return false;
}

function headRefs(schema: unknown): string[] {
  if (!isSchema(schema)) return [];
  const lists = ["allOf", "anyOf", "oneOf"].flatMap((key) => (Array.isArray(schema[key]) ? schema[key] : []));
  const own = typeof schema.$ref === "string" ? [schema.$ref] : [];
  return [...own, ...lists.flatMap(headRefs)];
}

/** The type that has this JSON value only. */
export function literalType(value: unknown): string {
  if (Array.isArray(value)) return `readonly [${value.map(literalType).join(", ")}]`;
  if (isSchema(value)) {
    const fields = Object.entries(value).map(
      ([key, each]) => `readonly ${propertyName(key)}: ${literalType(each)}`,
    );
    return fields.length === 0 ? "{ readonly [name: string]: never }" : `{ ${fields.join("; ")} }`;
  }
  return JSON.stringify(value) ?? "unknown";
}

/** A property's name as TypeScript needs it. */
export function propertyName(name: string): string {
  return /^[A-Za-z_$][\w$]*$/.test(name) ? name : JSON.stringify(name);
}

/** A name for the type of a shared schema. All begin with `Params`, so that they hide nothing. */
export function typeName(ref: string, taken: ReadonlySet<string>): string {
  const last = ref.slice(ref.lastIndexOf("/") + 1);
  const words = last.split(/[^A-Za-z0-9]+/).filter((word) => word !== "");
  const name = `Params${words.map((word) => word.charAt(0).toUpperCase() + word.slice(1)).join("") || "Type"}`;
  let candidate = name;
  for (let count = 2; taken.has(candidate); count += 1) candidate = `${name}${count}`;
  return candidate;
}

/** The description and the default as a comment; nothing when there is neither. */
export function docComment(schema: JsonSchema, indent: string): string {
  const lines: string[] = [];
  const { description } = schema;
  if (typeof description === "string") lines.push(...description.trim().split(/\r\n|[\n\r\u2028\u2029]/));
  if ("default" in schema && schema.secret !== true) {
    const value = JSON.stringify(schema.default) ?? "";
    lines.push(`Default: ${value.length > MAX_DEFAULT ? `${value.slice(0, MAX_DEFAULT)}…` : value}`);
  }
  const clean = lines
    .slice(0, MAX_COMMENT_LINES)
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is taken out
    .map((line) => line.replace(/[\u0000-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g, " "))
    .map((line) => line.replaceAll("*/", "*\\/").trim());
  if (clean.length === 0 || clean.every((line) => line === "")) return "";
  if (clean.length === 1) return `${indent}/** ${clean[0]} */\n`;
  const body = clean.map((line) => `${indent} *${line === "" ? "" : ` ${line}`}\n`).join("");
  return `${indent}/**\n${body}${indent} */\n`;
}
