// Addresses as four words of 32 bits. An IPv4 address is read as IPv4-mapped IPv6 (::ffff:10.0.0.1, RFC 4291 section
// 2.5.5.2), so that both ways to write it are one address.

/** Four words, most significant first; whoever parses gives it, so that a request makes no object. */
export type Words = Uint32Array;

/** The third word of an IPv4-mapped address, behind two zeros. */
const MAPPED = 0xffff;
const MAPPED_BITS = 96;

const [ZERO, NINE, DOT, COLON] = [0x30, 0x39, 0x2e, 0x3a];

export function isIpv4(words: Words): boolean {
  return words[0] === 0 && words[1] === 0 && words[2] === MAPPED;
}

/** Reads a whole text as an address. A zone (`%eth0`), blanks, or a number with leading zeros are none. */
export function parseAddress(text: string, into: Words): boolean {
  return parsePart(text, { from: 0, to: text.length, into });
}

/** As {@link parseAddress}, for a part of a text. */
export function parsePart(
  text: string,
  { from, to, into }: { readonly from: number; readonly to: number; readonly into: Words },
): boolean {
  // The longest is ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255.
  if (to - from < 2 || to - from > 45) return false;
  for (let at = from; at < to && at < from + 5; at++) {
    if (text.charCodeAt(at) === COLON) return parseIpv6(text, from, to, into);
  }
  const value = parseIpv4(text, from, to);
  if (value < 0) return false;
  into[0] = 0;
  into[1] = 0;
  into[2] = MAPPED;
  into[3] = value;
  return true;
}

/** A network of addresses with a common beginning. */
export interface Network {
  readonly first: Words;
  readonly last: Words;
}

/** Reads `10.0.0.0/8`, `2001:db8::/32`, or an address alone; the reason why not as text. */
export function parseNetwork(text: string): Network | string {
  const [address = "", length, ...rest] = text.split("/");
  const first = new Uint32Array(4);
  if (rest.length > 0 || !parseAddress(address, first)) return "it is no IPv4 or IPv6 address";
  const dotted = !address.includes(":");
  const most = dotted ? 32 : 128;
  const given = length === undefined ? most : Number(length);
  if (length === "" || !Number.isInteger(given) || given > most) return `its prefix is not from 0 to ${most}`;
  const bits = dotted ? given + MAPPED_BITS : given;
  const last = first.slice();
  for (let word = 0; word < 4; word++) {
    const kept = Math.min(Math.max(bits - word * 32, 0), 32);
    const host = kept === 32 ? 0 : 0xffff_ffff >>> kept;
    if ((first[word]! & host) !== 0) return "it has bits behind its prefix, which must be 0";
    last[word] = (first[word]! | host) >>> 0;
  }
  return { first, last };
}

/** -1 when it is none. */
function parseIpv4(text: string, from: number, to: number): number {
  let value = 0;
  let part = -1;
  let parts = 0;
  for (let at = from; at <= to; at++) {
    const code = at === to ? DOT : text.charCodeAt(at);
    if (code === DOT) {
      if (part === -1) return -1;
      value = value * 256 + part;
      part = -1;
      if (++parts > 4) return -1;
    } else if (code >= ZERO && code <= NINE) {
      // 010 is 8 to some and 10 to others.
      if (part === 0) return -1;
      part = (part === -1 ? 0 : part * 10) + code - ZERO;
      if (part > 255) return -1;
    } else return -1;
  }
  return parts === 4 ? value : -1;
}

function parseIpv6(text: string, from: number, to: number, into: Words): boolean {
  into.fill(0);
  let groups = 0;
  /** Groups in front of `::`; -1 while there was none. */
  let gap = -1;
  let at = from;
  if (text.charCodeAt(at) === COLON) {
    if (text.charCodeAt(at + 1) !== COLON || at + 1 >= to) return false;
    gap = 0;
    at += 2;
  }
  while (at < to) {
    let value = 0;
    const begin = at;
    for (; at < to; at++) {
      const digit = hexDigit(text.charCodeAt(at));
      if (digit === -1) break;
      value = value * 16 + digit;
    }
    if (at < to && text.charCodeAt(at) === DOT) {
      const tail = groups <= 6 ? parseIpv4(text, begin, to) : -1;
      if (tail < 0) return false;
      put(into, groups++, tail >>> 16);
      put(into, groups++, tail & 0xffff);
      at = to;
      break;
    }
    if (at === begin || at - begin > 4 || groups === 8) return false;
    put(into, groups++, value);
    if (at === to) break;
    if (text.charCodeAt(at++) !== COLON) return false;
    if (at === to) return false;
    if (text.charCodeAt(at) === COLON) {
      if (gap !== -1) return false;
      gap = groups;
      at++;
    }
  }
  if (gap === -1) return groups === 8;
  if (groups === 8) return false;
  spread(into, gap, groups);
  return true;
}

/** Moves the groups behind `::` to the end. */
function spread(into: Words, gap: number, groups: number): void {
  for (let moved = 1; moved <= groups - gap; moved++) {
    const value = get(into, groups - moved);
    put(into, groups - moved, 0);
    put(into, 8 - moved, value);
  }
}

function get(words: Words, group: number): number {
  return (words[group >> 1]! >>> (group % 2 === 0 ? 16 : 0)) & 0xffff;
}

function put(words: Words, group: number, value: number): void {
  const word = group >> 1;
  words[word] =
    group % 2 === 0
      ? ((words[word]! & 0xffff) | (value << 16)) >>> 0
      : ((words[word]! & 0xffff_0000) | value) >>> 0;
}

function hexDigit(code: number): number {
  if (code >= ZERO && code <= NINE) return code - ZERO;
  const letter = code | 0x20;
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x57 : -1;
}
