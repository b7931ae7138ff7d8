import { fromPointer } from "./pointer.ts";

/** A JSON Schema that is an object, not `true` or `false`. */
export type SchemaNode = Readonly<Record<string, unknown>>;

/** Keywords that hold one schema, a map of schemas, or a list of them. */
export const SINGLE = [
  "additionalProperties",
  "contains",
  "else",
  "if",
  "items",
  "not",
  "propertyNames",
  "then",
  "unevaluatedItems",
  "unevaluatedProperties",
] as const;
export const MAPS = ["$defs", "definitions", "dependentSchemas", "patternProperties", "properties"] as const;
export const LISTS = ["allOf", "anyOf", "oneOf", "prefixItems"] as const;

export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Sets a property whatever its name is; plain assignment of `__proto__` would do something else. */
export function setOwn(target: object, key: string, value: unknown): void {
  Object.defineProperty(target, key, { value, writable: true, enumerable: true, configurable: true });
}

/** What a local `$ref` leads to; undefined when it leads nowhere. */
export function resolveRef(root: SchemaNode, ref: unknown): unknown {
  if (typeof ref !== "string" || !/^#(?:\/|$)/.test(ref)) return undefined;
  let target: unknown = root;
  for (const step of fromPointer(ref.slice(1))) {
    if (typeof target !== "object" || target === null || !Object.hasOwn(target, step)) return undefined;
    target = (target as Record<string, unknown>)[step];
  }
  return target;
}

/**
 * Finds the schemas that speak about a value or about its parts. `certain` follows only what always applies
 * (`$ref`, `allOf`); `possible` also follows `anyOf`, `oneOf`, `if` and dependencies, whatever the value is.
 */
export class SchemaNodes {
  readonly #root: SchemaNode;
  readonly #reach: "certain" | "possible";
  readonly #patterns = new Map<string, RegExp>();

  constructor(root: SchemaNode, reach: "certain" | "possible") {
    this.#root = root;
    this.#reach = reach;
  }

  /** All schemas that apply to the same value as this one, itself included. */
  inPlace(start: unknown): SchemaNode[] {
    const found = new Set<SchemaNode>();
    const todo = [start];
    while (todo.length > 0) {
      const node = todo.pop();
      if (!isRecord(node) || found.has(node)) continue;
      found.add(node);
      todo.push(...inPlaceOf(this.#root, node, this.#reach));
    }
    return [...found];
  }

  /** The schemas for the value of a key; empty when no schema speaks of it. */
  ofKey(nodes: readonly SchemaNode[], key: string): unknown[] {
    const found: unknown[] = [];
    for (const { properties, patternProperties, additionalProperties, unevaluatedProperties } of nodes) {
      let described = false;
      if (isRecord(properties) && Object.hasOwn(properties, key)) {
        found.push(properties[key]);
        described = true;
      }
      for (const [pattern, schema] of Object.entries(patternProperties ?? {})) {
        if (!this.#pattern(pattern).test(key)) continue;
        found.push(schema);
        described = true;
      }
      if (!described && isRecord(additionalProperties)) found.push(additionalProperties);
      if (!described && isRecord(unevaluatedProperties)) found.push(unevaluatedProperties);
    }
    return found;
  }

  /** The schemas for an item of a list. */
  ofItem(nodes: readonly SchemaNode[], index: number): unknown[] {
    const found: unknown[] = [];
    for (const { prefixItems, items, contains, unevaluatedItems } of nodes) {
      if (Array.isArray(prefixItems) && index < prefixItems.length) found.push(prefixItems[index]);
      else if (isRecord(items)) found.push(items);
      else if (isRecord(unevaluatedItems)) found.push(unevaluatedItems);
      if (this.#reach === "possible" && isRecord(contains)) found.push(contains);
    }
    return found;
  }

  #pattern(source: string): RegExp {
    let pattern = this.#patterns.get(source);
    if (pattern === undefined) {
      pattern = new RegExp(source, "u");
      this.#patterns.set(source, pattern);
    }
    return pattern;
  }
}

/** The schemas one step away that apply to the same value. */
export function inPlaceOf(root: SchemaNode, node: SchemaNode, reach: "certain" | "possible"): unknown[] {
  const next: unknown[] = [];
  if (node.$ref !== undefined) next.push(resolveRef(root, node.$ref));
  if (Array.isArray(node.allOf)) next.push(...node.allOf);
  if (reach === "certain") return next;
  for (const keyword of ["anyOf", "oneOf"] as const) {
    const branches = node[keyword];
    if (Array.isArray(branches)) next.push(...branches);
  }
  next.push(node.if, node.then, node.else);
  if (isRecord(node.dependentSchemas)) next.push(...Object.values(node.dependentSchemas));
  return next;
}
