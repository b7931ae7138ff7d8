import { fromPointer } from "./pointer.ts";
import { isRecord, LISTS, MAPS, resolveRef, type SchemaNode } from "./schema-nodes.ts";

/** Keywords after which a schema speaks of a part of the value instead of the value itself. */
const DESCENDING = new Set([
  "properties",
  "patternProperties",
  "additionalProperties",
  "unevaluatedProperties",
  "propertyNames",
  "items",
  "prefixItems",
  "contains",
  "unevaluatedItems",
]);

/**
 * The schemas on the way to a place, innermost first, that speak of the same value as the place does. Each stop
 * is a list, because a schema and what its `$ref` leads to share the place.
 */
export function schemasAt(root: SchemaNode, schemaPath: string): SchemaNode[][] {
  const steps = fromPointer(schemaPath.replace(/^#/, ""));
  let here = withTargets(root, [root]);
  let stops = [here];
  for (let index = 0; index < steps.length; index++) {
    const keyword = steps[index]!;
    const named = [...MAPS, ...LISTS].some((known) => known === keyword);
    let next = here.flatMap((node) => own(node, keyword));
    if (named) {
      index += 1;
      next = next.flatMap((map) => own(map, steps[index]!));
    }
    here = withTargets(root, next);
    if (here.length === 0) break;
    if (DESCENDING.has(keyword)) stops = [];
    stops.unshift(here);
  }
  return stops;
}

function own(node: unknown, key: string): unknown[] {
  if (typeof node !== "object" || node === null || !Object.hasOwn(node, key)) return [];
  return [(node as Record<string, unknown>)[key]];
}

function withTargets(root: SchemaNode, nodes: readonly unknown[]): SchemaNode[] {
  const found = new Set<SchemaNode>();
  const todo = [...nodes];
  while (todo.length > 0) {
    const node = todo.shift();
    if (!isRecord(node) || found.has(node)) continue;
    found.add(node);
    if (node.$ref !== undefined) todo.push(resolveRef(root, node.$ref));
  }
  return [...found];
}
