// Networks against a reference that is as plain as can be: addresses as one large number each, every network tried.
import { expect, test } from "bun:test";
import { parseAddress } from "./address.ts";
import { NetworkSet, networkProblems } from "./network-set.ts";

const SEED = Number(process.env.IP_ALLOW_LIST_SEED ?? (Math.random() * 2 ** 31) | 0);
const ROUNDS = 300;

/** Mulberry32: small, and the same numbers for the same seed. */
function randomFrom(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

interface Plain {
  readonly family: 4 | 6;
  readonly value: bigint;
}

const MAPPED = 0xffffn << 32n;

/** What a text means, read by `URL`, which has a parser of its own. */
function plain(text: string): Plain {
  if (!text.includes(":"))
    return { family: 4, value: text.split(".").reduce((sum, part) => sum * 256n + BigInt(part), 0n) };
  const [head = "", tail] = new URL(`http://[${text}]/`).hostname.slice(1, -1).split("::");
  const groups = (part: string): string[] => (part === "" ? [] : part.split(":"));
  const [before, after] = [groups(head), groups(tail ?? "")];
  const all = [...before, ...Array(8 - before.length - after.length).fill("0"), ...after];
  const value = all.reduce((sum, group) => sum * 65_536n + BigInt(`0x${group}`), 0n);
  return value >> 32n === 0xffffn ? { family: 4, value: value - MAPPED } : { family: 6, value };
}

function within(address: Plain, network: string): boolean {
  const [text = "", length] = network.split("/");
  const start = plain(text);
  const bits = start.family === 4 ? 32 : 128;
  // A prefix of a mapped network counts from the beginning of the IPv6 address.
  const kept =
    Number(length ?? (text.includes(":") ? 128 : 32)) - (start.family === 4 && text.includes(":") ? 96 : 0);
  if (kept < 0 || start.family !== address.family) return false;
  const shift = BigInt(bits - kept);
  return start.value >> shift === address.value >> shift;
}

function textOf(value: bigint, family: 4 | 6, random: (below: number) => number): string {
  if (family === 4) {
    const dotted = [24n, 16n, 8n, 0n].map((shift) => (value >> shift) & 255n).join(".");
    return random(4) === 0 ? `::ffff:${dotted}` : dotted;
  }
  const groups = Array.from({ length: 8 }, (_, i) =>
    ((value >> BigInt(112 - i * 16)) & 0xffffn).toString(16),
  );
  const long = groups.join(":");
  return random(2) === 0 ? long : new URL(`http://[${long}]/`).hostname.slice(1, -1);
}

function randomValue(bits: number, random: (below: number) => number): bigint {
  // Few different beginnings, so that networks meet, and both ends of the range.
  let value = 0n;
  for (let at = 0; at < bits; at += 8)
    value = value * 256n + BigInt([0, 0, 1, 127, 128, 255, 255, random(256)][random(8)]!);
  return value;
}

test(`NetworkSet agrees with the plain reference (seed ${SEED})`, () => {
  const random = randomFrom(SEED);
  const words = new Uint32Array(4);
  let inside = 0;
  let outside = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const networks: string[] = [];
    const edges: [bigint, 4 | 6][] = [];
    for (let i = random(12); i >= 0; i--) {
      const family = random(2) === 0 ? 4 : 6;
      const bits = family === 4 ? 32 : 128;
      const prefix = random(3) === 0 ? bits : random(bits + 1);
      const host = BigInt(bits - prefix);
      const first = (randomValue(bits, random) >> host) << host;
      const text = textOf(first, family, () => 0 + random(2));
      const mapped = family === 4 && text.includes(":");
      networks.push(`${text}/${mapped ? prefix + 96 : prefix}`);
      edges.push([first, family], [first + (1n << host) - 1n, family]);
    }
    expect(networkProblems("allow", networks)).toEqual([]);
    const set = new NetworkSet(networks);
    for (let i = 0; i < 60; i++) {
      const family = random(2) === 0 ? 4 : 6;
      const most = (1n << BigInt(family === 4 ? 32 : 128)) - 1n;
      const [edge, edgeFamily] = edges[random(edges.length)]!;
      const near = edge + BigInt(random(3) - 1);
      const usable = edgeFamily === family && near >= 0n && near <= most;
      const text = textOf(usable ? near : randomValue(family === 4 ? 32 : 128, random), family, random);
      expect([text, parseAddress(text, words)]).toEqual([text, true]);
      const expected = networks.some((network) => within(plain(text), network));
      expect({ networks, text, has: set.has(words) }).toEqual({ networks, text, has: expected });
      if (expected) inside++;
      else outside++;
    }
  }
  expect(inside).toBeGreaterThan(ROUNDS);
  expect(outside).toBeGreaterThan(ROUNDS);
});

test("parseAddress reads every spelling of a random address alike, and refuses what is spoilt", () => {
  const random = randomFrom(SEED);
  const [a, b] = [new Uint32Array(4), new Uint32Array(4)];
  for (let i = 0; i < 2_000; i++) {
    const value = randomValue(128, random);
    const long = textOf(value, 6, () => 0);
    const short = new URL(`http://[${long}]/`).hostname.slice(1, -1);
    expect([long, parseAddress(long, a), parseAddress(short.toUpperCase(), b)]).toEqual([long, true, true]);
    expect([...a]).toEqual([...b]);
    const at = random(short.length + 1);
    const spoilt = short.slice(0, at) + ["%", "g", " ", "\0", "/", "]"][random(6)] + short.slice(at);
    expect([spoilt, parseAddress(spoilt, a)]).toEqual([spoilt, false]);
  }
});
