import { type Document, isAlias, isMap, isScalar, isSeq, type Node, type Pair, type Scalar } from "yaml";

/** Bounds of what is read, because whoever writes a file can write a hostile one. */
export interface YamlLimits {
  /** Largest text in bytes of UTF-8. Default 1 MiB: definitions and engine configurations are far smaller. */
  readonly bytes?: number;
  /** Deepest nesting of maps and lists. Default 64: what people write stays below 20, and readers recurse. */
  readonly depth?: number;
  /** Values that all aliases (`*name`) together may stand for. Default 10,000: an alias bomb has billions. */
  readonly aliasValues?: number;
}

export const DEFAULT_YAML_LIMITS: Required<YamlLimits> = {
  bytes: 1024 * 1024,
  depth: 64,
  aliasValues: 10_000,
};

/** Told of a fault at an offset of the text. */
export type Report = (offset: number, message: string, hint?: string) => void;

/**
 * The JSON value of a composed YAML document. Stricter than YAML: keys are strings and unique, numbers are
 * finite and exact, tags and merge keys are refused. Whatever is refused is reported, so the value is only good
 * for looking for more problems then.
 */
export function toJsonValue(doc: Document, limits: Required<YamlLimits>, report: Report): unknown {
  // Aliases are resolved by this map: the library looks through the whole document for each.
  const anchors = new Map<string, Node>();
  let aliasValues = 0;
  let aliasDepth = 0;
  let exhausted = false;

  function fromNode(node: unknown, depth: number): unknown {
    if (exhausted || node === null || node === undefined) return null;
    const place = (node as Node).range?.[0] ?? 0;
    if ((aliasDepth > 0 || isAlias(node)) && ++aliasValues > limits.aliasValues) {
      exhausted = true;
      report(place, `Cannot expand aliases: they stand for more than ${limits.aliasValues} values`);
      return null;
    }
    if (depth > limits.depth) {
      exhausted = true;
      report(place, `Cannot read what is nested deeper than ${limits.depth} levels`);
      return null;
    }
    const { tag } = node as Node;
    if (tag !== undefined) {
      const hint = 'Write the value without a tag; put a string that looks like something else into "quotes"';
      report(place, "Cannot use a YAML tag: only plain values, lists and maps are read", hint);
    }
    if (isAlias(node)) return fromAlias(node.source, { place, depth });
    remember(node as Node);
    if (isMap(node)) return fromPairs(node.items, depth);
    if (isSeq(node)) return node.items.map((item) => fromNode(item, depth + 1));
    if (isScalar(node)) return fromScalar(node, place);
    report(place, "Cannot read this value: maps, lists, strings, numbers, booleans and null are known");
    return null;
  }

  function remember(node: Node): void {
    const anchor = isAlias(node) ? undefined : node.anchor;
    if (anchor !== undefined && aliasDepth === 0) anchors.set(anchor, node);
  }

  function fromAlias(name: string, at: { place: number; depth: number }): unknown {
    const target = anchors.get(name);
    if (target === undefined) {
      // The name is not told: it may be a secret whose writer forgot the quotes.
      const hint = 'Put text that begins with "*" into quotes';
      report(at.place, "Cannot resolve this alias: no anchor of its name stands before it", hint);
      return null;
    }
    aliasDepth += 1;
    // A level deeper for each alias, so that an anchor that contains its own alias ends at the depth limit.
    const value = fromNode(target, at.depth + 1);
    aliasDepth -= 1;
    return value;
  }

  function fromPairs(pairs: readonly Pair[], depth: number): Record<string, unknown> {
    const map: Record<string, unknown> = {};
    for (const { key, value } of pairs) {
      const place = keyPlace(key) ?? (value as Node | null)?.range?.[0] ?? 0;
      const name = keyText(key);
      if (isScalar(key)) remember(key);
      if (name === undefined) {
        report(place, "Cannot use this key: a key must be a string");
      } else if (name === "__proto__") {
        report(place, 'Cannot use the key "__proto__": it has a meaning of its own to the engine');
      } else if (name === "<<" && isScalar(key) && key.type === "PLAIN") {
        report(place, 'Cannot use the merge key "<<": it is not supported', "Repeat the keys instead");
      } else if (Object.hasOwn(map, name)) {
        report(place, `Duplicate key ${JSON.stringify(name)}`, "Keep one of them");
      } else {
        map[name] = fromNode(value, depth + 1);
      }
      if (exhausted) break;
    }
    return map;
  }

  function fromScalar(scalar: Scalar, place: number): unknown {
    const { value } = scalar;
    if (typeof value === "number") {
      if (!Number.isFinite(value)) {
        report(place, "Cannot use this number: it is not finite");
      } else if (Number.isInteger(value) && !Number.isSafeInteger(value)) {
        report(place, "Cannot read this number exactly: it is beyond 2^53", 'Put it into "quotes"');
      }
      return value;
    }
    if (value === null || typeof value === "string" || typeof value === "boolean") return value;
    report(place, "Cannot read this value: maps, lists, strings, numbers, booleans and null are known");
    return null;
  }

  return fromNode(doc.contents, 0);
}

/** A key as text: strings, and numbers and booleans as they are written; undefined for anything else. */
export function keyText(key: unknown): string | undefined {
  if (!isScalar(key) || key.tag !== undefined) return undefined;
  if (typeof key.value === "string") return key.value;
  if (typeof key.value === "number" || typeof key.value === "boolean") return key.source ?? String(key.value);
  return undefined;
}

export function keyPlace(key: unknown): number | undefined {
  return (key as Node | null)?.range?.[0];
}
