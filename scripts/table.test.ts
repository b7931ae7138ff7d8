import { expect, test } from "bun:test";
import { tableRow, tableRule } from "./table.ts";

test("tableRow() wraps each cell within its column", () => {
  expect(tableRow(["one two three", "x", "abcdefgh"], [8, 3, 4])).toBe(
    ["one two   x    abcd", "three          efgh"].join("\n"),
  );
});

test("tableRow() leaves short cells and missing ones alone", () => {
  expect(tableRow(["a"], [3, 3])).toBe("a");
});

test("tableRule() is as wide as its row", () => {
  expect(tableRule([2, 3])).toBe("──  ───");
});
