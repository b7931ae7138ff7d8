import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { compileLiteralPattern, compilePattern } from "./pattern.ts";

const PIECES = [
  ...[
    "^",
    "$",
    "a",
    "b",
    ".",
    "|",
    "(",
    ")",
    "(?:",
    "(?i)",
    "(?m)",
    "[",
    "]",
    "[^",
    "[ab]",
    "[^$]",
    "[|]",
    "\\",
  ],
  ...[
    "*",
    "+",
    "?",
    "{2}",
    "\\$",
    "\\^",
    "\\b",
    "\\|",
    "\\Q",
    "\\E",
    "\\n",
    "\\pL",
    "(a|b)",
    "^a",
    "b$",
    "-",
    "é",
    "🂡",
  ],
];

function both(source: string, text: string): [boolean | string, boolean | string] {
  const plain = compilePattern(source);
  const literal = compileLiteralPattern(source);
  return [
    typeof plain === "string" ? plain : plain.test(text),
    typeof literal === "string" ? literal : literal.test(text),
  ];
}

describe("a literal pattern matches what it matches anyhow", () => {
  test.each([
    ["^a$", ["a", "", "aa", "a\n", "\na"]],
    ["^a|b$", ["a", "ax", "xb", "b", "x"]],
    ["^(a|b)$", ["a", "b", "ab", "xa"]],
    ["^(?:a|b)+$", ["abab", "abx", ""]],
    ["^[|]$", ["|", "x"]],
    ["^a\\$", ["a$", "a"]],
    ["^a\\\\$", ["a\\", "a$"]],
    ["^*a$", ["xa", "a"]],
    ["^(?m)a$", ["a\nb", "a"]],
    ["^\\Q|$", ["|$", ""]],
    ["^[]a]$", ["]", "a", "b"]],
    ["^[[:alpha:]]$", ["a", "1"]],
    ["^$", ["", "a"]],
    ["^é.$", ["é🂡", "é", "é🂡x"]],
    ["^a*$", ["", "aaa", "b"]],
  ])("%s", (source, texts) => {
    for (const text of texts) {
      const [plain, literal] = both(source, text);
      expect([text, literal]).toEqual([text, plain]);
    }
  });

  test("whatever it is made of", () => {
    let compiled = 0;
    fc.assert(
      fc.property(
        fc.array(fc.constantFrom(...PIECES), { maxLength: 6 }),
        fc.boolean(),
        fc.string({ unit: fc.constantFrom("a", "b", "é", "🂡", "|", "$", "\n", "-"), maxLength: 4 }),
        (pieces, anchored, text) => {
          const inside = pieces.join("");
          const [plain, literal] = both(anchored ? `^${inside}$` : inside, text);
          expect(literal).toBe(plain);
          if (typeof plain === "boolean") compiled++;
        },
      ),
      { numRuns: 5_000 },
    );
    expect(compiled).toBeGreaterThan(1_000);
  });
});
