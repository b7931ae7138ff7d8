import { isIpv4, type Network, parseNetwork, type Words } from "./address.ts";

/** The addresses of many networks, as sorted ranges that do not touch: looked up by halving. */
export class NetworkSet {
  /** Eight words for each range: its first and its last address. */
  readonly #ranges: Uint32Array;

  /** Of texts that {@link networkProblems} finds nothing wrong with. */
  constructor(networks: readonly string[]) {
    const parsed = networks.map(parseNetwork).filter((network) => typeof network !== "string");
    this.#ranges = flatten(merge(parsed.flatMap(withoutMapped)));
  }

  has(address: Words): boolean {
    const ranges = this.#ranges;
    let low = 0;
    let high = ranges.length / 8;
    // The last range that begins at the address or before it.
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (compareAt(ranges, middle * 8, address) <= 0) low = middle + 1;
      else high = middle;
    }
    return low > 0 && compareAt(ranges, low * 8 - 4, address) >= 0;
  }
}

/** What is wrong with a list of networks. */
export function networkProblems(name: string, networks: readonly string[]): string[] {
  const problems: string[] = [];
  for (const [index, text] of networks.entries()) {
    const parsed = parseNetwork(text);
    if (typeof parsed === "string")
      problems.push(`${name}[${index}], ${JSON.stringify(text)}, cannot be used: ${parsed}`);
  }
  return problems;
}

/** The block of IPv4-mapped addresses, `::ffff:0:0/96`. */
const MAPPED = { first: Uint32Array.of(0, 0, 0xffff, 0), last: Uint32Array.of(0, 0, 0xffff, 0xffff_ffff) };

/** `::/0` is every IPv6 address; who wants IPv4 too writes `0.0.0.0/0`. A network within the block is IPv4. */
function withoutMapped(network: Network): Network[] {
  const { first, last } = network;
  if (isIpv4(first) && isIpv4(last)) return [network];
  if (compare(first, MAPPED.last) > 0 || compare(last, MAPPED.first) < 0) return [network];
  const before = { first, last: Uint32Array.of(0, 0, 0xfffe, 0xffff_ffff) };
  const after = { first: Uint32Array.of(0, 0, 0x1_0000, 0), last };
  return [before, after];
}

/** Ranges in order, overlapping ones as one. */
function merge(networks: readonly Network[]): Network[] {
  const merged: Network[] = [];
  for (const network of networks.toSorted((a, b) => compare(a.first, b.first))) {
    const before = merged.at(-1);
    if (before === undefined || compare(network.first, before.last) > 0) merged.push(network);
    else if (compare(network.last, before.last) > 0)
      merged[merged.length - 1] = { ...before, last: network.last };
  }
  return merged;
}

function flatten(networks: readonly Network[]): Uint32Array {
  const ranges = new Uint32Array(networks.length * 8);
  for (const [index, { first, last }] of networks.entries()) {
    ranges.set(first, index * 8);
    ranges.set(last, index * 8 + 4);
  }
  return ranges;
}

function compare(a: Words, b: Words): number {
  return compareAt(a, 0, b);
}

/** The four words at a place against an address: less than, equal to, or more than 0. */
function compareAt(words: Uint32Array, at: number, address: Words): number {
  for (let word = 0; word < 4; word++) {
    const difference = words[at + word]! - address[word]!;
    if (difference !== 0) return difference;
  }
  return 0;
}
