import { describe, expect, test } from "bun:test";
import { KeyTable } from "./key-table.ts";
import { KeyedHash } from "./keyed-hash.ts";

/** The same each time: how keys spread decides which share. */
const hash = new KeyedHash(new Uint32Array([1, 2]));

function put(table: KeyTable, key: string, { value, floor = 0 }: { value: number; floor?: number }): void {
  table.set(table.find(hash.of(key), floor), value);
}

function get(table: KeyTable, key: string, floor = 0): number {
  return table.get(table.find(hash.of(key), floor));
}

describe("KeyTable", () => {
  test("keeps a number for each key while it grows", () => {
    const table = new KeyTable(10_000);
    const before = table.bytes;
    for (let index = 0; index < 10_000; index++) put(table, `key-${index}`, { value: index + 1 });
    for (let index = 0; index < 10_000; index++) expect(get(table, `key-${index}`)).toBe(index + 1);
    expect(table.takeShared()).toBe(0);
    expect(table.bytes).toBeGreaterThan(before);
    expect(get(table, "unknown")).toBe(0);
  });

  test("reads 0 where another key's number was worth nothing any more", () => {
    const table = new KeyTable(1000);
    for (let index = 0; index < 100_000; index++) {
      put(table, `key-${index}`, { value: index + 1, floor: index });
      expect(get(table, `other-${index}`, index + 1)).toBe(0);
    }
    // One key at a time was worth something: there was never a reason to grow.
    expect(table.bytes).toBe(new KeyTable(1000).bytes);
  });

  test("is bounded under a million hostile keys, and gives no one's number away", () => {
    const table = new KeyTable(1000);
    for (let index = 0; index < 500; index++) put(table, `victim-${index}`, { value: 1_000_000 });
    for (let index = 0; index < 1_000_000; index++) {
      const place = table.find(hash.of(`hostile-${index}`), 0);
      // As limits do: numbers only grow.
      table.set(place, table.get(place) + 1);
    }
    expect(table.bytes).toBeLessThanOrEqual(1000 * 64);
    expect(table.takeShared()).toBeGreaterThan(900_000);
    expect(table.takeShared()).toBe(0);
    for (let index = 0; index < 500; index++) {
      expect(get(table, `victim-${index}`)).toBeGreaterThanOrEqual(1_000_000);
    }
  });

  test("gives a key that had to share no new start when there is room again", () => {
    const table = new KeyTable(1000);
    for (let index = 0; index < 20_000; index++) put(table, `hostile-${index}`, { value: 5 });
    for (let index = 0; index < 1000; index++) put(table, `late-${index}`, { value: 9 });
    for (let index = 0; index < 1000; index++) expect(get(table, `late-${index}`, 5)).toBe(9);
  });

  test("has room again when numbers are worth nothing any more", () => {
    const table = new KeyTable(1000);
    for (let index = 0; index < 100_000; index++) put(table, `hostile-${index}`, { value: 5 });
    table.takeShared();
    for (let index = 0; index < 800; index++) put(table, `key-${index}`, { value: 6 + index, floor: 5 });
    for (let index = 0; index < 800; index++) expect(get(table, `key-${index}`, 5)).toBe(6 + index);
    expect(table.takeShared()).toBe(0);
  });
});
