import { describe, expect, test } from "bun:test";
import type { CelError } from "./cel-error.ts";
import { type ConditionInput, compileCondition } from "./compile-condition.ts";
import { compiled, decide, exchange, type Facts } from "./condition-fixtures.ts";
import { MAX_ITEMS, MAX_SOURCE_BYTES } from "./limits.ts";

function codeOf(source: string, facts?: Facts): string {
  try {
    return String(decide(source, facts));
  } catch (error) {
    return (error as CelError).code;
  }
}

const many = Array.from({ length: MAX_ITEMS }, (_, index) => `v${index}`);

describe("hostile sources are refused when they are loaded", () => {
  test.each([
    ["too long", `route == "${"x".repeat(MAX_SOURCE_BYTES)}"`, "it is too long, at most 8192 bytes"],
    ["too long in UTF-8", `route == "${"é".repeat(MAX_SOURCE_BYTES / 2)}"`, "it is too long"],
    ["20,000 terms", Array(20_000).fill("true").join("&&"), "it is too long"],
    ["1,000 terms", Array(1_000).fill("true").join("&&"), "maxAstNodes"],
    ["300 parentheses", `${"(".repeat(300)}true${")".repeat(300)}`, "maxDepth"],
    ["300 lists", `${"[".repeat(300)}true${"]".repeat(300)} == []`, "maxDepth"],
    ["8,000 negations", `${"!".repeat(8_000)}true`, ""],
    ["a long list", `1 in [${Array(300).fill("1").join(",")}]`, "maxListElements"],
    [
      "a large map",
      `size({${Array.from({ length: 80 }, (_, i) => `${i}: 1`).join(",")}}) == 1`,
      "maxMapEntries",
    ],
    ["many arguments", `size(${Array(20).fill("1").join(",")}) == 1`, "maxCallArguments"],
    ["macros in macros", "[1].all(a, [1].all(b, [1].all(c, true)))", "macros are nested deeper"],
    ["an open text", `"${"a".repeat(4_000)}`, "at character"],
    ["a lone surrogate", "route == '\ud800' + ", "at character"],
    ["NUL bytes", "\0\0\0", "at character"],
  ])("%s", (_name, source, message) => {
    const { condition, problems } = compileCondition(source);
    expect(condition).toBeUndefined();
    expect(problems).toHaveLength(1);
    expect(problems[0]).toContain(message);
    expect(problems[0]!.length).toBeLessThan(500);
  });
});

describe("work is bounded when they run", () => {
  test("a regular expression that makes others backtrack ends", () => {
    const body = `${"a".repeat(40)}!`;
    expect(decide('request.body.matches("^(a+)+$")', { body })).toBe(false);
    expect(decide("request.body.matches(metadata.p)", { body, metadata: { p: "^(a|aa)+$" } })).toBe(false);
  });

  test.each([
    ["^(a+)+$", 60],
    ["^(a|a)*$", 60],
    ["(a*)*(a*)*(a*)*b", 60],
    ["^(([a-z])+.)+[A-Z]([a-z])+$", 60],
    ["(x+x+)+y", 60],
  ])("%s pays for what it reads, and no more", (pattern, length) => {
    const body = `${"a".repeat(length)}!`;
    const source = `request.body.matches("${pattern}")`;
    expect(decide(source, { body })).toBe(false);
    expect(codeOf(source, { body: body.repeat(100_000) })).toBe("too_much_work");
  });

  test("three macros inside each other over 300 items never begin, nor do two over 1,000", () => {
    const list = `[${Array(100).fill("1").join(",")}]`;
    const { problems } = compileCondition(`${list}.all(a, ${list}.all(b, ${list}.all(c, true)))`);
    expect(problems[0]).toContain("macros are nested deeper");
    const source = "metadata.all.all(a, metadata.all.all(b, metadata.all.all(c, true)))";
    expect(compileCondition(source).problems[0]).toContain("macros are nested deeper");
  });

  test("faults that are swallowed are paid for like values", () => {
    const source = "metadata.all.exists(a, metadata.all.exists(b, metadata.none == a || int(b) == 1))";
    expect(codeOf(source, { metadata: { all: many } })).toBe("too_much_work");
  });

  test("texts that make a pattern of the engine's own go back and forth", () => {
    const size = 4 * 1024 * 1024;
    const source = (call: string) => `string(${call}) == ""`;
    expect(codeOf(source("base64.decode(request.body)"), { body: `${"=".repeat(size)}x` })).toBe(
      "invalid_base64",
    );
    expect(codeOf(source("double(request.body)"), { body: `${"1".repeat(size)}x` })).toBe(
      "double_conversion_error",
    );
    expect(codeOf(source("int(request.body)"), { body: "1".repeat(size) })).toBe("int_conversion_error");
    expect(codeOf(source("timestamp(request.body)"), { body: "1".repeat(size) })).toBe("invalid_timestamp");
    expect(codeOf("request.host == ''", { authority: ":".repeat(size) })).toBe("false");
  });

  test("a regular expression over more text than it is worth", () => {
    const body = "x".repeat(8 * 1024 * 1024);
    expect(codeOf('request.body.matches("y$")', { body })).toBe("too_much_work");
    expect(codeOf('request.body.matches("y$")', { body: body.slice(0, 65_536) })).toBe("false");
  });

  test("regular expressions from requests are short, and few are compiled", () => {
    const pattern = (p: string) => codeOf("'a'.matches(metadata.p)", { metadata: { p } });
    expect(pattern("a".repeat(128))).toBe("false");
    expect(pattern("a".repeat(129))).toBe("invalid_regular_expression");
    expect(pattern("(")).toBe("invalid_regular_expression");
    expect(pattern("(\\pL\\pL\\pL\\pL\\pL\\pL\\pL\\pL\\pL\\pL\\pL\\pL\\pL\\pL){1000}")).toBe("too_much_work");
    expect(codeOf("metadata.all.exists(p, 'a'.matches(p + 'aaaa'))", { metadata: { all: many } })).toBe(
      "too_much_work",
    );
  });

  test("more items than a macro goes over", () => {
    const all = "metadata.all.all(v, v != '')";
    expect(decide(all, { metadata: { all: many } })).toBe(true);
    expect(codeOf(all, { metadata: { all: [...many, "one more"] } })).toBe("too_large");
    expect(codeOf(all, { metadata: { all: new Set([...many, "one more"]) } })).toBe("too_large");
    const object = Object.fromEntries([...many, "one more"].map((name) => [name, 1]));
    expect(codeOf(all, { metadata: { all: object } })).toBe("too_large");
    const names = [...many, "one-more"].map((name) => [name, "x"] as const);
    expect(codeOf("request.headers.all(n, n != '')", { headers: names })).toBe("too_many_items");
    expect(codeOf("request.headers.all(n, n != '')", { headers: names.slice(1) })).toBe("true");
    const rawQuery = names.map(([name]) => `${name}=1`).join("&");
    expect(codeOf("size(request.query) > 1", { rawQuery })).toBe("too_many_items");
  });

  test("macros inside each other over long lists", () => {
    const metadata = { all: many };
    expect(codeOf("metadata.all.all(a, metadata.all.all(b, a != b || true))", { metadata })).toBe(
      "too_much_work",
    );
    // Though `||` and `exists` swallow errors.
    expect(codeOf("metadata.all.all(a, metadata.all.all(b, a != b || true)) || true", { metadata })).toBe(
      "too_much_work",
    );
    expect(
      codeOf("metadata.all.exists(a, metadata.all.exists(b, a + b == 'x')) == false", { metadata }),
    ).toBe("too_much_work");
    expect(codeOf("metadata.all.map(a, metadata.all.map(b, [a, b])).size() == 1", { metadata })).toBe(
      "too_much_work",
    );
  });

  test("a large body read again and again", () => {
    const body = "x".repeat(4 * 1024 * 1024);
    expect(decide('request.body.contains("y") || request.body.endsWith("x")', { body })).toBe(true);
    const headers = many.map((name) => [name, "y"] as const);
    expect(
      codeOf("request.headers.exists(n, request.body.contains(request.headers[n]))", { headers, body }),
    ).toBe("too_much_work");
  });

  test("JSON of a body nested very deeply", () => {
    const source = "bytes(request.body).json() == bytes(request.body).json()";
    expect(decide(source, { body: `${"[".repeat(500)}${"]".repeat(500)}` })).toBe(true);
    for (const depth of [50_000, 1_000_000]) {
      const body = `${"[".repeat(depth)}${"]".repeat(depth)}`;
      expect(["invalid_json", "out_of_range", "too_much_work", "true"]).toContain(codeOf(source, { body }));
    }
  });

  test("a large body compared again and again", () => {
    const headers = many.map((name) => [name, "y"] as const);
    const body = "x".repeat(4 * 1024 * 1024);
    expect(codeOf("request.headers.exists(n, request.body == n)", { headers, body })).toBe("too_much_work");
  });

  test("texts and lists that double", () => {
    const text = { metadata: { text: "x".repeat(400_000) } };
    expect(codeOf("cel.bind(a, metadata.text + metadata.text, a + a == '')", text)).toBe("too_large");
    expect(codeOf("bytes(metadata.text) + bytes(metadata.text) + bytes(metadata.text) == b''", text)).toBe(
      "too_large",
    );
    const all = { metadata: { all: many } };
    expect(codeOf("size(metadata.all + metadata.all) == 2000", all)).toBe("too_large");
    expect(
      codeOf("metadata.all.map(v, metadata.text).join(',') == ''", {
        metadata: { all: many, text: "x".repeat(2_000) },
      }),
    ).toBe("too_large");
    expect(decide('["a", "b"].join("-") == "a-b" && [1] + [2] == [1, 2]')).toBe(true);
  });

  test("lists that hold the same list many times over", () => {
    const wide = (name: string) => `[${Array(20).fill(name).join(",")}]`;
    const grown = `[1].map(a, ${wide("a")}).map(b, ${wide("b")}).map(c, ${wide("c")}).map(d, ${wide("d")}).map(e, ${wide("e")})`;
    expect(codeOf(`${grown} == ${grown}`)).toBe("too_much_work");
    expect(codeOf(`${grown}[0] in ${grown}`)).toBe("too_much_work");
  });

  test("functions of cel-js that take long on long texts", () => {
    const metadata = { digits: "1".repeat(60_000) };
    expect(codeOf("duration(metadata.digits) == duration('1s')", { metadata })).toBe("too_large");
    expect(codeOf("metadata.digits.split('') == []", { metadata })).toBe("too_large");
    expect(decide("duration('90m') == duration('1h30m') && 'a,b'.split(',') == ['a', 'b']")).toBe(true);
    const zones = "metadata.all.exists(z, time.getHours('Europe/Paris') == 25)";
    expect(codeOf(zones, { metadata: { all: many } })).toBe("too_much_work");
  });

  test.each([
    ["splits", "size(request.body.split('')) == 0", "a".repeat(16_384)],
    ["replaces", "request.body.replace('a', 'b') == ''", "a".repeat(16_384)],
    ["counts code points", "request.body.charAt(1) == ''", "🂡".repeat(8_000)],
    ["finds code points", "request.body.indexOf('x') == 7", "🂡".repeat(8_000)],
    ["changes the case of letters beyond ASCII", "request.body.lowerAscii() == ''", "Aé".repeat(32_768)],
    ["converts to a number", "double(request.body) == 1.0", "1".repeat(16_384)],
    ["trims", "request.body.trim() == 'x'", " ".repeat(65_536)],
  ])("what %s is paid for by the character", (_name, call, body) => {
    expect(decide(`!(${call})`, { body })).toBe(true);
    expect(codeOf(`metadata.all.exists(a, ${call})`, { body, metadata: { all: many } })).toBe(
      "too_much_work",
    );
  });

  test.each([
    ["size of an object", "size(metadata.large) == 0"],
    ["look at an object that is too large for a macro", "metadata.large.all(key, true)"],
    ["comparison of objects of different sizes", "metadata.large == metadata.larger"],
    ["set that nothing is compared with", "sets.intersects(metadata.all, [])"],
    ["comparison of long texts that are not equal", "metadata.text == metadata.other"],
  ])("a %s is paid for", (_name, call) => {
    const names = Array.from({ length: 20_000 }, (_, index) => [`key${index}`, 1] as const);
    const large = Object.fromEntries(names);
    const text = "x".repeat(400_000);
    const metadata = { all: many, large, larger: { ...large, more: 1 }, text, other: `${text.slice(1)}y` };
    expect(codeOf(`metadata.all.exists(a, ${call})`, { metadata })).toBe("too_much_work");
  });

  test("the query of a client is gone over once", () => {
    const query = new URLSearchParams("a=1&b=2&a=3");
    // Which looks for its parameter from the beginning each time.
    query.get = () => {
      throw new Error("not once for each");
    };
    const all = compiled('request.query.all(name, request.query[name] in ["1", "2"])');
    expect(all.evaluate({ ...exchange(), query } as ConditionInput)).toBe(true);
  });

  test("metadata that holds itself", () => {
    const loop: unknown[] = [1];
    loop.push(loop);
    const other: unknown[] = [1];
    other.push(other);
    expect(["too_much_work", "out_of_range"]).toContain(
      codeOf("metadata.loop == metadata.other", { metadata: { loop, other } }),
    );
  });

  test("what one evaluation spent is not held against the next", () => {
    const condition = compiled("metadata.all.all(a, metadata.some.all(b, a + b != 'x'))");
    const hostile = exchange({ metadata: { all: many, some: many } });
    const usual = exchange({ metadata: { all: ["a"], some: ["b"] } });
    for (let round = 0; round < 3; round++) {
      expect(() => condition.evaluate(hostile)).toThrow("too much work");
      expect(condition.evaluate(usual)).toBe(true);
    }
  });
});
