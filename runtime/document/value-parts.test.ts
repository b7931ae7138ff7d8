import { expect, test } from "bun:test";
import fc from "fast-check";
import { takeApart, ValueBuilder } from "./value-parts.ts";

const values = fc.letrec((tie) => ({
  value: fc.oneof(
    { maxDepth: 5 },
    fc.oneof(fc.string(), fc.double({ noNaN: true }), fc.boolean(), fc.constant(null)),
    fc.array(tie("value")),
    fc.dictionary(
      fc.string().filter((key) => key !== "__proto__"),
      tie("value"),
      { noNullPrototype: true },
    ),
  ),
})).value;

function rebuild(value: unknown, maxValues: number): unknown {
  const builder = new ValueBuilder();
  for (const parts of takeApart(value, maxValues)) builder.add(structuredClone(parts));
  return builder.value;
}

test("a value taken apart and built again is the same value", () => {
  fc.assert(
    fc.property(values, fc.integer({ min: 1, max: 30 }), (value, maxValues) => {
      const again = rebuild(value, maxValues);
      expect(again).toStrictEqual(value);
      expect(JSON.stringify(again)).toBe(JSON.stringify(value));
    }),
    { numRuns: 500 },
  );
});

test("no value is no value", () => {
  expect(rebuild(undefined, 5)).toBeUndefined();
});

test("no portion is much larger than what is asked for", () => {
  const value = { rows: Array.from({ length: 1_000 }, (_, index) => ({ index, list: [1, 2, 3] })) };
  const parts = [...takeApart(value, 50)];
  expect(parts.length).toBeGreaterThan(100);
  // Each row is one part of six values, so that no portion has more than nine of them.
  expect(Math.max(...parts.map(({ length }) => length))).toBeLessThanOrEqual(10);
});
