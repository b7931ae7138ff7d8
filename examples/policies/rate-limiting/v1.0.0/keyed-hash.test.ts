import { expect, test } from "bun:test";
import fc from "fast-check";
import { KeyedHash } from "./keyed-hash.ts";

const hash = new KeyedHash(new Uint32Array([1, 2]));

test("KeyedHash is the same for the same text and secret, and another for another", () => {
  expect(hash.of("alice")).toBe(new KeyedHash(new Uint32Array([1, 2])).of("alice"));
  expect(hash.of("alice")).not.toBe(new KeyedHash(new Uint32Array([1, 3])).of("alice"));
  expect(hash.of("alice")).not.toBe(new KeyedHash(new Uint32Array([0, 2])).of("alice"));
  expect(new KeyedHash().of("alice")).not.toBe(new KeyedHash().of("alice"));
});

test("KeyedHash gives whole numbers of 53 bits", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (text) => {
      const number = hash.of(text);
      expect(Number.isSafeInteger(number) && number >= 0).toBe(true);
    }),
  );
});

test("KeyedHash tells apart what looks alike", () => {
  const texts = [
    ...[
      "",
      "\0",
      "\0\0",
      "\0\0\0",
      "a",
      "a\0",
      "A",
      "ab",
      "ba",
      "aé",
      "ae\u0301",
      "é",
      "\ud800",
      "\udc00",
      "\ufffd",
    ],
    ...Array.from({ length: 20_000 }, (_, index) => `10.0.${index >> 8}.${index & 255}`),
    ...Array.from({ length: 20_000 }, (_, index) => "x".repeat(index % 500) + index),
  ];
  expect(new Set(texts.map((text) => hash.of(text))).size).toBe(new Set(texts).size);
});

test("KeyedHash spreads keys over every bit", () => {
  const counts = new Array<number>(53).fill(0);
  const keys = 20_000;
  for (let index = 0; index < keys; index++) {
    const number = hash.of(`user-${index}`);
    for (let bit = 0; bit < 53; bit++) counts[bit]! += Math.floor(number / 2 ** bit) % 2;
  }
  // Ten standard deviations.
  for (const count of counts) expect(Math.abs(count - keys / 2)).toBeLessThan(10 * Math.sqrt(keys / 4));
});
