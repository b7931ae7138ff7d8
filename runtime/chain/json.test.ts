import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { DEFAULT_MAX_DEPTH, parseJson } from "./json.ts";

function nested(depth: number, open = "[", close = "]"): string {
  return open.repeat(depth) + close.repeat(depth);
}

function depthOf(value: unknown): number {
  if (typeof value !== "object" || value === null) return 0;
  return 1 + Math.max(0, ...Object.values(value).map(depthOf));
}

const TOO_DEEP = "Cannot parse JSON: it is nested deeper than the 64 levels allowed";
const MALFORMED = "Cannot parse JSON: the text is not well-formed";

test("any JSON is what JSON.parse makes of it, if it is not too deep", () => {
  const text = fc.json({ maxDepth: 8, depthSize: "max" });
  fc.assert(
    fc.property(text, fc.nat(8), (json, maxDepth) => {
      const value = JSON.parse(json);
      if (depthOf(value) <= maxDepth) expect(parseJson(json, maxDepth)).toEqual(value);
      else expect(() => parseJson(json, maxDepth)).toThrow(SyntaxError);
    }),
    { numRuns: 500 },
  );
});

test("brackets, quotes and backslashes in strings are no nesting", () => {
  const piece = fc.constantFrom(
    "[",
    "]",
    "{",
    "}",
    '"',
    "\\",
    "\\\\",
    '\\"',
    "a",
    "\u2028",
    "\u{1f600}",
    "\ud800",
  );
  const string = fc.array(piece, { maxLength: 30 }).map((pieces) => pieces.join(""));
  fc.assert(
    fc.property(fc.array(string), (strings) => {
      expect(parseJson(JSON.stringify(strings), 1)).toEqual(strings);
      expect(() => parseJson(JSON.stringify([...strings, []]), 1)).toThrow(SyntaxError);
    }),
  );
});

describe("depth", () => {
  test.each([
    ["arrays", "[", "]"],
    ["objects", '{"a":', "}"],
    ["both", '[{"[":', "}]"],
  ])("%s are allowed 64 levels", (_name, open, close) => {
    const levels = open.startsWith("[{") ? DEFAULT_MAX_DEPTH / 2 : DEFAULT_MAX_DEPTH;
    const deepest = `${open.repeat(levels)}0${close.repeat(levels)}`;
    expect(depthOf(parseJson(deepest))).toBe(64);
    expect(() => parseJson(`[${deepest}]`)).toThrow(new SyntaxError(TOO_DEEP));
  });

  test("is not the number of brackets", () => {
    expect(parseJson(`[${Array.from({ length: 1000 }, () => nested(63)).join()}]`)).toHaveLength(1000);
  });

  test("none allows values only", () => {
    expect(parseJson("1", 0)).toBe(1);
    expect(() => parseJson("[]", 0)).toThrow(SyntaxError);
  });

  test.each([
    ["complete", nested(1_000_000)],
    ["never closed", "[".repeat(1_000_000)],
    ["objects", '{"a":'.repeat(1_000_000)],
    ["after a string that ends in a backslash", `["\\\\",${nested(1_000_000)}]`],
    ["after closing ones", `${"[".repeat(64)}${"]".repeat(64)}${"[".repeat(65)}`],
  ])("a bomb is refused before it is parsed: %s", (_name, text) => {
    expect(() => parseJson(text)).toThrow(new SyntaxError(TOO_DEEP));
  });

  test("closing brackets earn nothing: the text is malformed where they stand", () => {
    expect(() => parseJson("]".repeat(1000) + nested(1000))).toThrow(new SyntaxError(MALFORMED));
  });
});

describe("malformed text", () => {
  test.each([
    '{"password":hunter2}',
    '{"password" "hunter2"}',
    '{"a":1}hunter2',
    '"\\hunter2"',
    '{"hunter2',
    "hunter2",
    "",
    " ",
    "[1,]",
    "{'a':1}",
    "\ufeff{}",
    "NaN",
    "01",
    '"\n"',
  ])("%j is a SyntaxError that does not quote it", (text) => {
    let caught: unknown;
    try {
      parseJson(text);
    } catch (error) {
      caught = error;
    }
    expect(caught).toEqual(new SyntaxError(MALFORMED));
    expect(caught).not.toHaveProperty("cause");
    expect(Bun.inspect(caught)).not.toContain("hunter");
  });
});

test("a member __proto__ is a member, and changes no prototype", () => {
  const value = parseJson('{"__proto__":{"a":1},"__proto__":{"admin":true},"constructor":1}') as Record<
    string,
    unknown
  >;
  expect(Object.getPrototypeOf(value)).toBe(Object.prototype);
  expect(Object.keys(value)).toEqual(["__proto__", "constructor"]);
  expect(Object.getOwnPropertyDescriptor(value, "__proto__")?.value).toEqual({ admin: true });
  expect(value.admin).toBeUndefined();
  expect(({} as Record<string, unknown>).admin).toBeUndefined();
});
