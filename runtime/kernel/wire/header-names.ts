// Names of headers, from bytes to lower-case text. The same few dozen names come with every request: each is made
// once and found again by its bytes, as an atom, so that comparing names is comparing references.

import { readText } from "./read-text.ts";

/** A power of two, several times the names of a busy Envoy. A name that finds its place taken takes it over. */
const SLOTS = 1_024;
/** Longer names are not kept. */
const MAX_KEPT = 64;

interface Kept {
  readonly bytes: Uint8Array;
  readonly name: string;
}

const kept: (Kept | undefined)[] = new Array(SLOTS).fill(undefined);

/**
 * The name that these bytes spell, in lower case.
 * @throws {TypeError} If they are not UTF-8.
 */
export function headerName(bytes: Uint8Array, start: number, end: number): string {
  const length = end - start;
  if (length > MAX_KEPT) return atom(readText(bytes, start, end).toLowerCase());
  const slot = slotOf(bytes, start, length);
  const found = kept[slot];
  if (found !== undefined && spells(found.bytes, bytes, start, length)) return found.name;
  const name = atom(readText(bytes, start, end).toLowerCase());
  // A copy, as the bytes belong to a message. (A Buffer's `slice` would share them.)
  kept[slot] = { bytes: new Uint8Array(bytes.subarray(start, end)), name };
  return name;
}

/**
 * The text as names in source code are: the engine has one of each. Two texts that are compared again and again as
 * such are compared in one step, any others character by character where they are as long.
 */
function atom(text: string): string {
  return Object.keys({ [text]: 0 })[0]!;
}

/** A few characters tell most names apart; what they do not is told apart by comparing. */
function slotOf(bytes: Uint8Array, start: number, length: number): number {
  let hash = length;
  if (length > 0) {
    hash = Math.imul(hash, 31) + bytes[start]!;
    hash = Math.imul(hash, 31) + bytes[start + length - 1]!;
    hash = Math.imul(hash, 31) + bytes[start + (length >> 1)]!;
    hash = Math.imul(hash, 31) + bytes[start + (length >> 2)]!;
    hash = Math.imul(hash, 31) + bytes[start + ((3 * length) >> 2)]!;
  }
  return (hash ^ (hash >>> 13)) & (SLOTS - 1);
}

function spells(name: Uint8Array, bytes: Uint8Array, start: number, length: number): boolean {
  if (name.length !== length) return false;
  for (let at = 0; at < length; at++) if (name[at] !== bytes[start + at]) return false;
  return true;
}
