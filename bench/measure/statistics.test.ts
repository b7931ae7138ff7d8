import { describe, expect, test } from "bun:test";
import { median, percentile, summarise } from "./statistics.ts";

describe("median", () => {
  test.each([
    [[3], 3],
    [[9, 1, 5], 5],
    [[4, 1, 3, 2], 2.5],
    [[10, 9, 100], 10],
  ])("of %p is %p, whatever the order", (values, expected) => {
    const given = [...values];
    expect(median(given)).toBe(expected);
    expect(given).toEqual(values);
  });

  test("of nothing is an error", () => {
    expect(() => median([])).toThrow(RangeError);
  });
});

test("a summary has the extremes beside the median", () => {
  expect(summarise([12, 10, 17])).toEqual({ median: 12, min: 10, max: 17 });
});

describe("percentile", () => {
  const hundred = Array.from({ length: 100 }, (_, index) => index + 1);
  test.each([
    [0, 1],
    [0.5, 50],
    [0.99, 99],
    [0.991, 100],
    [1, 100],
  ])("%p of 1 to 100 is %p", (share, expected) => {
    expect(percentile(hundred, share)).toBe(expected);
  });

  test("takes a value that was measured, never one in between", () => {
    expect(percentile([1, 1000], 0.5)).toBe(1);
    expect(percentile([1, 1000], 0.51)).toBe(1000);
  });

  test("of nothing is an error", () => {
    expect(() => percentile([], 0.5)).toThrow(RangeError);
  });
});
