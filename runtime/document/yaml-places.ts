import { type Document, isAlias, isMap, isScalar, isSeq, type Node } from "yaml";
import { keyPlace, keyText } from "./yaml-value.ts";

/**
 * Where everything in a YAML text stands, small and cheap to send to another thread, unlike the parser's nodes.
 * The children of a node stand in a row, so that one is found by its place in the row.
 */
export interface YamlPlaces {
  /** A row of {@link WIDTH} numbers for each node, the root first; empty for a text that cannot be read. */
  readonly cells: Int32Array;
  /** The keys, each one once, one after the other. */
  readonly keys: string;
  /** Where each key ends in `keys`. */
  readonly keyEnds: Int32Array;
  /** The offset at which each line begins. */
  readonly lineStarts: Int32Array;
}

const KIND = { leaf: 0, map: 1, list: 2, alias: 3 } as const;
/** Columns of a row: see {@link KIND}; number of the key, -1 for none; offsets of the key and of the value. */
const [TYPE, KEY, KEY_AT, VALUE_AT] = [0, 1, 2, 3];
/** The row of the first child, or the row that an alias stands for (-1 when there is none); how many children. */
const [FIRST, COUNT] = [4, 5];
const WIDTH = 6;

const INDEX = /^(?:0|[1-9]\d{0,9})$/;

/** The places of a text of which nothing is known. No memory is shared: each array can be sent on its own. */
export function noPlaces(lineStarts: readonly number[] = []): YamlPlaces {
  return {
    cells: new Int32Array(0),
    keys: "",
    keyEnds: new Int32Array(0),
    lineStarts: Int32Array.from(lineStarts),
  };
}

/** Notes the places of a document, down to a depth; what is deeper counts as its parent. */
export function placesOf(
  doc: Document,
  { lineStarts, depth }: { readonly lineStarts: readonly number[]; readonly depth: number },
): YamlPlaces {
  return new PlaceTable(depth).fill(doc, lineStarts);
}

/** Line and column, from 1, of a path into the text; a step that does not exist ends the way at its parent. */
export function placeOf(
  places: YamlPlaces,
  steps: readonly string[],
  at: "key" | "value" = "value",
): { line: number; column: number } {
  const { cells } = places;
  const read = (row: number, column: number): number => cells[row * WIDTH + column] ?? 0;
  let row = 0;
  let offset = read(0, VALUE_AT);
  for (const [index, step] of steps.entries()) {
    if (read(row, TYPE) === KIND.alias) row = read(row, FIRST);
    if (row < 0) break;
    const first = read(row, FIRST);
    const count = read(row, COUNT);
    let child = -1;
    if (read(row, TYPE) === KIND.map) {
      for (let each = first; each < first + count && child < 0; each++) {
        if (isKey(places, read(each, KEY), step)) child = each;
      }
    } else if (read(row, TYPE) === KIND.list && INDEX.test(step) && Number(step) < count) {
      child = first + Number(step);
    }
    if (child < 0) break;
    row = child;
    offset = read(row, at === "key" && index === steps.length - 1 ? KEY_AT : VALUE_AT);
  }
  return linePlace(places.lineStarts, offset);
}

/** Line and column, from 1, of an offset. */
export function linePlace(lineStarts: ArrayLike<number>, offset: number): { line: number; column: number } {
  let low = 0;
  let high = lineStarts.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (lineStarts[middle]! <= offset) low = middle + 1;
    else high = middle;
  }
  return { line: Math.max(low, 1), column: Math.max(offset - (lineStarts[low - 1] ?? 0) + 1, 1) };
}

function isKey({ keys, keyEnds }: YamlPlaces, key: number, text: string): boolean {
  if (key < 0) return false;
  const start = key === 0 ? 0 : keyEnds[key - 1]!;
  return keyEnds[key]! - start === text.length && keys.startsWith(text, start);
}

class PlaceTable {
  readonly #depth: number;
  readonly #cells: number[] = [];
  readonly #keys = new Map<string, number>();
  /** The rows of anchors, as far as the document has been walked: an alias stands for the last one before it. */
  readonly #anchors = new Map<string, number>();
  #rows = 0;

  constructor(depth: number) {
    this.#depth = depth;
  }

  fill({ contents }: Document, lineStarts: readonly number[]): YamlPlaces {
    const at = contents?.range?.[0] ?? 0;
    this.#fill(this.#take(1), { node: contents, key: -1, keyAt: at, valueAt: at, depth: 0 });
    const names = [...this.#keys.keys()];
    let end = 0;
    return {
      cells: Int32Array.from(this.#cells),
      keys: names.join(""),
      keyEnds: Int32Array.from(names, (name) => {
        end += name.length;
        return end;
      }),
      lineStarts: Int32Array.from(lineStarts),
    };
  }

  /** Rows that stand together. */
  #take(count: number): number {
    const first = this.#rows;
    this.#rows += count;
    for (let cell = 0; cell < count * WIDTH; cell++) this.#cells.push(0);
    return first;
  }

  #fill(
    row: number,
    entry: {
      readonly node: unknown;
      readonly key: number;
      readonly keyAt: number;
      readonly valueAt: number;
      readonly depth: number;
    },
  ): void {
    const { node, key, keyAt, valueAt, depth } = entry;
    this.#set(row, [KIND.leaf, key, keyAt, valueAt, 0, 0]);
    if (isAlias(node)) {
      this.#set(row, [KIND.alias, key, keyAt, valueAt, this.#anchors.get(node.source) ?? -1, 0]);
      return;
    }
    this.#remember(node, row);
    if (depth > this.#depth) return;
    if (isMap(node)) {
      const first = this.#take(node.items.length);
      this.#set(row, [KIND.map, key, keyAt, valueAt, first, node.items.length]);
      for (const [index, pair] of node.items.entries()) {
        const value = pair.value as Node | null;
        const ofKey = keyPlace(pair.key) ?? valueAt;
        // An empty value has no place of its own that a reader would look at.
        const blank = isScalar(value) && value.type === "PLAIN" && value.source === "";
        const ofValue = blank ? ofKey : (value?.range?.[0] ?? ofKey);
        this.#rememberKey(pair.key);
        this.#fill(first + index, {
          node: value,
          key: this.#keyNumber(keyText(pair.key)),
          keyAt: ofKey,
          valueAt: ofValue,
          depth: depth + 1,
        });
      }
    } else if (isSeq(node)) {
      const first = this.#take(node.items.length);
      this.#set(row, [KIND.list, key, keyAt, valueAt, first, node.items.length]);
      for (const [index, item] of node.items.entries()) {
        const at = (item as Node | null)?.range?.[0] ?? valueAt;
        this.#fill(first + index, { node: item, key: -1, keyAt: at, valueAt: at, depth: depth + 1 });
      }
    }
  }

  #set(row: number, cells: readonly number[]): void {
    for (const [column, value] of cells.entries()) this.#cells[row * WIDTH + column] = value;
  }

  #remember(node: unknown, row: number): void {
    const anchor = (node as { anchor?: string } | null)?.anchor;
    if (anchor !== undefined) this.#anchors.set(anchor, row);
  }

  /** A key can carry an anchor too; what stands for it has nothing inside. */
  #rememberKey(key: unknown): void {
    if (isScalar(key)) this.#remember(key, -1);
  }

  #keyNumber(text: string | undefined): number {
    if (text === undefined) return -1;
    let number = this.#keys.get(text);
    if (number === undefined) {
      number = this.#keys.size;
      this.#keys.set(text, number);
    }
    return number;
  }
}
