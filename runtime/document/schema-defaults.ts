import { isRecord, type SchemaNode, SchemaNodes, setOwn } from "./schema-nodes.ts";

/** Makes a function that copies a value deeply and fills in the schema's defaults where a key is missing. */
export function compileDefaults(root: SchemaNode): (value: unknown) => unknown {
  const nodes = new SchemaNodes(root, "certain");

  // `filling` holds the schemas whose default is being filled, so that a default within itself ends.
  function fill(value: unknown, schemas: readonly unknown[], filling: ReadonlySet<unknown>): unknown {
    const here = schemas.flatMap((schema) => nodes.inPlace(schema));
    if (Array.isArray(value)) {
      return value.map((item, index) => fill(item, nodes.ofItem(here, index), filling));
    }
    if (!isRecord(value)) return value;
    const copy: Record<string, unknown> = {};
    for (const [key, item] of Object.entries(value)) {
      setOwn(copy, key, fill(item, nodes.ofKey(here, key), filling));
    }
    for (const { properties } of here) {
      if (!isRecord(properties)) continue;
      for (const key of Object.keys(properties)) {
        if (Object.hasOwn(copy, key)) continue;
        const inner = nodes.ofKey(here, key);
        const source = inner.flatMap((schema) => nodes.inPlace(schema)).find((node) => "default" in node);
        if (source === undefined || filling.has(source)) continue;
        setOwn(copy, key, fill(source.default, inner, new Set([...filling, source])));
      }
    }
    return copy;
  }

  return (value) => fill(value, [root], new Set());
}
