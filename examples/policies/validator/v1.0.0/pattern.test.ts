import { describe, expect, test } from "bun:test";
import { compilePattern } from "./pattern.ts";

const TEXTS = [
  "",
  "a",
  "b",
  "ab",
  "ba",
  "aab",
  "abab",
  "abc",
  "A1_",
  "é",
  "😀",
  "a\nb",
  "-",
  "2026-01-31",
  "a.b",
  "]",
  "\\",
];
const PATTERNS = [
  "",
  "a",
  "^a",
  "a$",
  "^a$",
  "^$",
  "^(a|b)*$",
  "^(?:ab)+$",
  "(a|ab)(c|bc)$",
  "^a?b{1,2}$",
  "^a{2}b",
  "^.{2,}$",
  "^.$",
  "[a-c]{3}",
  "[^a]$",
  "^\\w+$",
  "\\d{4}-\\d{2}-\\d{2}",
  "^\\p{L}$",
  "^\\u{1F600}$",
  "\\.",
  "[\\]\\\\]",
  "a+?b",
  "^(a*)*b$",
  "^((a?){3}|b)$",
  "(?:){3}a",
  "^|b",
  "\\n",
  "^[^]$",
  "a{0}",
];

describe("compilePattern() decides as the regular expressions of the language", () => {
  test.each(PATTERNS)("%s", (source) => {
    const pattern = compilePattern(source);
    const native = new RegExp(source, "u");
    for (const text of TEXTS) expect([text, pattern(text, () => {})]).toEqual([text, native.test(text)]);
  });
});

test("takes work that grows with the text, however the pattern is nested", () => {
  const pattern = compilePattern("^(([a-z])+.)+[A-Z]([a-z])+$");
  let work = 0;
  expect(pattern("a".repeat(10_000), (spent) => (work += spent))).toBe(false);
  expect(work).toBeLessThan(200_000);
});

test("refuses what it cannot do, and what would be too large", () => {
  const supported = "which is not supported";
  const refused: [string, string][] = [
    ["(?=a)", supported],
    ["(?<!a)b", supported],
    ["(?<name>a)", supported],
    ["(a)\\1", supported],
    ["\\ba", supported],
    ["(", "not a regular expression"],
    ["a{2,1}", "not a regular expression"],
    ["(a{100}){100}", "too large"],
    ["((((){1000}){1000}){1000}){1000}", "too large"],
    ["a".repeat(1001), "at most 1000 characters"],
  ];
  for (const [source, message] of refused) expect(() => compilePattern(source)).toThrow(message);
});
