// Texts that come with every request, from their bytes: names of headers, and short values. Each is made once and found
// again by its bytes, as making it costs several times as much.

import { textWithin } from "../../chain/header-list.ts";
import { readText } from "./read-text.ts";

const latin1Slice = Buffer.prototype.latin1Slice as (this: Uint8Array, start: number, end: number) => string;

interface Known {
  readonly bytes: Uint8Array;
  readonly text: string;
}

interface TableSettings {
  /** A power of two. A text that finds its place taken takes it over. */
  readonly places: number;
  /** In bytes. Longer ones are made each time. */
  readonly maxLength: number;
  readonly make: (bytes: Uint8Array, start: number, end: number) => string;
}

class KnownTexts {
  readonly #known: (Known | undefined)[];
  readonly #mask: number;
  readonly #maxLength: number;
  readonly #make: TableSettings["make"];

  constructor({ places, maxLength, make }: TableSettings) {
    this.#known = new Array(places).fill(undefined);
    this.#mask = places - 1;
    this.#maxLength = maxLength;
    this.#make = make;
  }

  read(bytes: Uint8Array, start: number, end: number): string {
    const length = end - start;
    if (length > this.#maxLength) return this.#make(bytes, start, end);
    const place = hashOf(bytes, start, length) & this.#mask;
    const found = this.#known[place];
    if (found !== undefined && spells(found.bytes, bytes, start, length)) return found.text;
    const text = this.#make(bytes, start, end);
    // A copy, as the bytes belong to a message. (A Buffer's `slice` would share them.)
    this.#known[place] = { bytes: new Uint8Array(bytes.subarray(start, end)), text };
    return text;
  }
}

/** Longer values are made each time. */
export const KNOWN_VALUE_BYTES = 24;

/** Several times the names of a busy Envoy. */
const names = new KnownTexts({
  places: 1_024,
  maxLength: 64,
  make: (bytes, start, end) => atom(readText(bytes, start, end).toLowerCase()),
});
/** Tokens and keys are longer, and are not to be kept; what tells tenants, regions and formats apart is not. */
const values = new KnownTexts({ places: 1_024, maxLength: KNOWN_VALUE_BYTES, make: textWithin });

const pseudos = new KnownTexts({
  places: 256,
  maxLength: 24,
  make: (bytes, start, end) => latin1Slice.call(bytes, start, end),
});

/**
 * The name that these bytes spell, in lower case, as an atom: comparing it with another is comparing references.
 * @throws {TypeError} If they are not UTF-8.
 */
export function headerName(bytes: Uint8Array, start: number, end: number): string {
  return names.read(bytes, start, end);
}

/** The text of a header's value: what is not UTF-8 reads as U+FFFD. */
export function headerValue(bytes: Uint8Array, start: number, end: number): string {
  return values.read(bytes, start, end);
}

/** The text of a pseudo-header, one character a byte. */
export function pseudoValue(bytes: Uint8Array, start: number, end: number): string {
  return pseudos.read(bytes, start, end);
}

/**
 * The text as names in source code are: there is one of each. Two such texts are compared in one step, any others
 * character by character where they are as long.
 */
function atom(text: string): string {
  return Object.keys({ [text]: 0 })[0]!;
}

/** A few characters tell most texts apart; what they do not is told apart by comparing. */
function hashOf(bytes: Uint8Array, start: number, length: number): number {
  let hash = length;
  if (length > 0) {
    hash = Math.imul(hash, 31) + bytes[start]!;
    hash = Math.imul(hash, 31) + bytes[start + length - 1]!;
    hash = Math.imul(hash, 31) + bytes[start + (length >> 1)]!;
    hash = Math.imul(hash, 31) + bytes[start + (length >> 2)]!;
    hash = Math.imul(hash, 31) + bytes[start + ((3 * length) >> 2)]!;
  }
  return hash ^ (hash >>> 13);
}

function spells(known: Uint8Array, bytes: Uint8Array, start: number, length: number): boolean {
  if (known.length !== length) return false;
  for (let at = 0; at < length; at++) if (known[at] !== bytes[start + at]) return false;
  return true;
}
