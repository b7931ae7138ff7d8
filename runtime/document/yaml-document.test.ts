import { describe, expect, test } from "bun:test";
import { formatProblem } from "./problem.ts";
import { parseYaml } from "./yaml-document.ts";

function problemsOf(text: string): string[] {
  return parseYaml(text, "f.yaml").problems.map(formatProblem);
}

describe("parseYaml() reads what is right", () => {
  test("maps, lists and scalars, in YAML and in JSON", () => {
    const yaml = parseYaml("a: 1\nb: [x, 'y', true, null, 1.5]\nc:\n  d: |\n    text\n", "f.yaml");
    expect(yaml.value).toEqual({ a: 1, b: ["x", "y", true, null, 1.5], c: { d: "text\n" } });
    expect(yaml.problems).toEqual([]);
    expect(parseYaml('{"a": [1, {"b": "\\u0041"}]}', "f.json").value).toEqual({ a: [1, { b: "A" }] });
  });

  test("an alias stands for a value of its own", () => {
    const { value, problems } = parseYaml("a: &x {k: [1]}\nb: *x\n", "f.yaml");
    expect(problems).toEqual([]);
    expect(value).toEqual({ a: { k: [1] }, b: { k: [1] } });
    const { a, b } = value as { a: object; b: object };
    expect(a).not.toBe(b);
  });

  test("keys are text as it is written", () => {
    expect(parseYaml("404: a\ntrue: b\n0x10: c\n", "f").value).toEqual({
      "404": "a",
      true: "b",
      "0x10": "c",
    });
  });

  test("words of YAML 1.1 are text, not booleans", () => {
    expect(parseYaml("a: yes\nb: off\n", "f").value).toEqual({ a: "yes", b: "off" });
  });

  test.each(["", "\n \n", "# only a comment\n", "---\n", "---\n...\n", "\uFEFF"])("%j is empty", (text) => {
    const document = parseYaml(text, "f");
    expect(document).toMatchObject({ empty: true, value: undefined, problems: [] });
  });

  test.each(["null", "~", "{}", "[]", "''", "a: 1\n# c"])("%j is not empty", (text) => {
    expect(parseYaml(text, "f").empty).toBe(false);
  });
});

describe("parseYaml() refuses, with the place", () => {
  test.each([
    ["a: 1\nb: 2\na: 3\n", 'f.yaml:3:1: error: Duplicate key "a"\n  hint: Keep one of them'],
    ["1: a\n'1': b\n", 'f.yaml:2:1: error: Duplicate key "1"\n  hint: Keep one of them'],
    ["a:\n\tb: 1\n", "f.yaml:2:1: error: Cannot use a tab as indentation: YAML needs spaces"],
    [
      "<<: {a: 1}\n",
      'f.yaml:1:1: error: Cannot use the merge key "<<": it is not supported\n  hint: Repeat the keys instead',
    ],
    [
      "__proto__: {isAdmin: true}\n",
      'f.yaml:1:1: error: Cannot use the key "__proto__": it has a meaning of its own to the engine',
    ],
    ["? [a]\n: 1\n", "f.yaml:1:3: error: Cannot use this key: a key must be a string"],
    ["a: .inf\n", "f.yaml:1:4: error: Cannot use this number: it is not finite"],
    [
      "id: 9007199254740993\n",
      'f.yaml:1:5: error: Cannot read this number exactly: it is beyond 2^53\n  hint: Put it into "quotes"',
    ],
    [
      "a: 1\n---\nb: 2\n",
      'f.yaml:2:1: error: Cannot read several documents: a file holds one\n  hint: Remove the "---"',
    ],
    [
      "%YAML 1.1\n---\na: yes\n",
      "f.yaml:1:1: error: Cannot read YAML 1.1: its words for booleans surprise, YAML 1.2 is read",
    ],
    ["a: 'x\n", "f.yaml:2:1: error: Cannot read this as YAML: missing closing 'quote"],
  ])("%j", (text, problem) => {
    expect(problemsOf(text)).toEqual([problem]);
  });

  test.each([
    "a: !!str 1",
    "a: !custom {b: 1}",
    "a: !!binary aGk=",
    "a: !<tag:yaml.org,2002:js/function> 'x'",
  ])("the tag of %j", (text) => {
    expect(problemsOf(text).join()).toStartWith("f.yaml:1:");
    expect(problemsOf(text).join()).toContain("Cannot use a YAML tag");
  });

  test("every problem of a text at once, in order of place", () => {
    const found = parseYaml("a: .nan\nb: !x 1\na: 2\n<<: 3\n", "f.yaml").problems;
    expect(found.map(({ line }) => line)).toEqual([1, 2, 3, 4]);
  });

  test.each([
    "key: *hunter2",
    'key: "a\\hunter2"',
    "key: |hunter2\n  x",
    "key: @hunter2",
    "key: 'a' hunter2",
  ])("%j without quoting what may be a secret", (text) => {
    const found = problemsOf(text);
    expect(found).not.toEqual([]);
    expect(found.join()).not.toContain("hunter2");
  });
});

describe("hostile: parseYaml()", () => {
  test("an alias bomb ends at the limit of values", () => {
    const bomb = ["a: &a [x,x,x,x,x,x,x,x,x]"];
    for (const [name, of] of ["ba", "cb", "dc", "ed", "fe", "gf", "hg"]) {
      bomb.push(`${name}: &${name} [${Array(9).fill(`*${of}`).join()}]`);
    }
    const found = problemsOf(bomb.join("\n"));
    expect(found).toHaveLength(1);
    expect(found[0]).toContain("Cannot expand aliases: they stand for more than 10000 values");
  });

  test("an alias of what contains it ends", () => {
    expect(problemsOf("a: &a [*a]").join()).toContain("deeper than 64 levels");
    expect(problemsOf("a: &a\n  b: *a\n").join()).toContain("deeper than 64 levels");
  });

  test("as many aliases as a text can hold end at the limit", () => {
    expect(problemsOf(`a: &a 1\nb: [${"*a, ".repeat(100_000)}]`)).toHaveLength(1);
  });

  test("depth: 64 levels are read, 65 are not", () => {
    expect(parseYaml("[".repeat(64) + "]".repeat(64), "f").problems).toEqual([]);
    const deep = parseYaml("[".repeat(66) + "]".repeat(66), "f").problems;
    expect(deep.map(({ message }) => message)).toEqual(["Cannot read what is nested deeper than 64 levels"]);
  });

  test.each(["[", "{", "- ", "? ", "{a: ", "&a "])(
    "20,000 times %j is refused with few problems",
    (piece) => {
      const found = parseYaml(piece.repeat(20_000), "f").problems;
      expect(found.length).toBeGreaterThan(0);
      expect(found.length).toBeLessThanOrEqual(100);
    },
  );

  test("a text over the size limit is not looked at", () => {
    const text = "#".repeat(1024 * 1024 + 1);
    expect(problemsOf(text)).toEqual([
      "f.yaml:1:1: error: Cannot read this file: it has 1048577 bytes, at most 1048576 are allowed",
    ]);
    expect(parseYaml(text, "f", { bytes: 2 * 1024 * 1024 }).problems).toEqual([]);
    expect(parseYaml("é", "f", { bytes: 1 }).problems).toHaveLength(1);
  });

  test("keys named like members of objects are plain keys", () => {
    const { value, problems } = parseYaml("constructor: 1\ntoString: 2\nhasOwnProperty: 3\n", "f");
    expect(problems).toEqual([]);
    expect(Object.entries(value as object)).toEqual([
      ["constructor", 1],
      ["toString", 2],
      ["hasOwnProperty", 3],
    ]);
  });

  test("a map of many keys is not slow because of the check for duplicates", () => {
    const keys = Array.from({ length: 20_000 }, (_, index) => `k${index}: 1`).join("\n");
    expect(parseYaml(`${keys}\nk7: 2\n`, "f").problems.map(({ line }) => line)).toEqual([20_001]);
  });
});

describe("problem()", () => {
  const document = parseYaml("a:\n  - b: 1\n    c:\n  - x\n'd/e~f': {g: 2}\n", "f.yaml");

  test.each([
    ["", "value", 1, 1],
    ["/a", "key", 1, 1],
    ["/a/0/b", "value", 2, 8],
    ["/a/0/b", "key", 2, 5],
    ["/a/0/c", "value", 3, 5],
    ["/a/1", "value", 4, 5],
    ["/d~1e~0f/g", "value", 5, 14],
    ["/d~1e~0f/g", "key", 5, 11],
  ] as const)("finds %j (%s)", (pointer, at, line, column) => {
    expect(document.problem(pointer, "m", { at })).toEqual({
      severity: "error",
      file: "f.yaml",
      line,
      column,
      pointer,
      message: "m",
    });
  });

  test("falls back to the nearest parent that exists", () => {
    expect(document.problem("/a/0/zz/y", "m")).toMatchObject({ line: 2, column: 5, pointer: "/a/0/zz/y" });
    expect(document.problem("/a/7", "m")).toMatchObject({ line: 2, column: 3 });
    expect(document.problem("/zz", "m")).toMatchObject({ line: 1, column: 1 });
  });

  test("carries severity and hint", () => {
    expect(document.problem("/a", "m", { severity: "warning", hint: "h" })).toMatchObject({
      severity: "warning",
      hint: "h",
    });
  });

  test("follows an alias to what it stands for", () => {
    const aliased = parseYaml("a: &x\n  k: 1\nb: *x\n", "f");
    expect(aliased.problem("/b/k", "m")).toMatchObject({ line: 2, column: 6 });
  });

  test("has a place even where nothing could be read", () => {
    expect(parseYaml("[", "f").problem("/a", "m")).toMatchObject({ line: 1, column: 1 });
    expect(parseYaml("", "f").problem("/a", "m")).toMatchObject({ line: 1, column: 1 });
  });
});
