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

test("KeyedHash is HalfSipHash-1-3 as its paper describes it", () => {
  const random = fc.tuple(fc.string({ unit: "binary" }), fc.uint32Array({ minLength: 2, maxLength: 2 }));
  fc.assert(
    fc.property(random, ([text, secret]) => {
      expect(new KeyedHash(secret).of(text)).toBe(slowly(text, secret));
    }),
  );
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

/** Step by step: words, length, and a finish for each half. */
function slowly(text: string, [k0 = 0, k1 = 0]: Uint32Array): number {
  const v = Uint32Array.of(k0, k1 ^ 0xee, k0 ^ 0x6c796765, k1 ^ 0x74656462);
  const rotate = (at: number, by: number): void => {
    v[at] = (v[at]! << by) | (v[at]! >>> (32 - by));
  };
  const mix = (to: number, by: number, turn: number): void => {
    v[to]! += v[by]!;
    rotate(by, turn);
    v[by]! ^= v[to]!;
  };
  const round = (): void => {
    mix(0, 1, 5);
    rotate(0, 16);
    mix(2, 3, 8);
    mix(0, 3, 7);
    mix(2, 1, 13);
    rotate(2, 16);
  };
  const padded = text.length % 2 === 0 ? text : `${text}\0`;
  const bytes = Buffer.from(padded, "utf16le");
  const words = Array.from({ length: bytes.length / 4 }, (_, index) => bytes.readUInt32LE(4 * index));
  for (const word of [...words, text.length]) {
    v[3]! ^= word;
    round();
    v[0]! ^= word;
  }
  const halves = [0xee, 0xdd].map((mark) => {
    v[mark === 0xee ? 2 : 1]! ^= mark;
    for (let index = 0; index < 3; index++) round();
    return (v[1]! ^ v[3]!) >>> 0;
  });
  return (halves[0]! >>> 11) * 2 ** 32 + halves[1]!;
}
