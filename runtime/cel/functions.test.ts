// What expressions have beyond cel-js, or do otherwise. What CEL itself says is held by test/conformance.
import { describe, expect, test } from "bun:test";
import type { CelError } from "./cel-error.ts";
import { compileProgram } from "./compile-program.ts";
import { exchange, type Facts } from "./condition-fixtures.ts";
import { checker } from "./environment.ts";
import { MAX_MADE_TEXT, MAX_SPLIT_TEXT } from "./limits.ts";

function resultOf(source: string, facts?: Facts): unknown {
  const { program, problems } = compileProgram(source, "expression");
  if (program === undefined) throw new Error(problems.join("\n"));
  try {
    return program.evaluate(exchange(facts), (value) => value);
  } catch (error) {
    return (error as CelError).code;
  }
}

describe("functions", () => {
  test.each<[string, unknown]>([
    ["int(7u)", 7n],
    ["int(18446744073709551615u)", "numeric_overflow"],
    ["int(1e99)", "numeric_overflow"],
    ["int(-1.9)", -1n],
    ["int('')", "int_conversion_error"],
    ["int('0x10')", "int_conversion_error"],
    ["int(timestamp('2001-09-09T01:46:40.9Z'))", 1_000_000_000n],
    ["int(timestamp('1969-12-31T23:59:59.9Z'))", -1n],
    ["double('0x10')", "double_conversion_error"],
    ["double('1e400')", Number.POSITIVE_INFINITY],
    ["string(timestamp('2020-01-02T03:04:05+01:00'))", "2020-01-02T02:04:05Z"],
    ["string(timestamp('2020-01-02T03:04:05.120Z'))", "2020-01-02T03:04:05.12Z"],
    ["timestamp('2021-02-29T00:00:00Z')", "invalid_timestamp"],
    ["timestamp('2021-02-28')", "invalid_timestamp"],
    ["timestamp('2021-02-28T24:00:00Z')", "invalid_timestamp"],
    ["timestamp(253402300800)", "out_of_range"],
    ["string(duration('-90.5s'))", "-90.5s"],
    ["string(duration('1h') - duration('1ns'))", "3599.999999999s"],
    ["duration('1µs') == duration('1μs')", true],
    ["duration('1x')", "invalid_duration"],
    ["duration('')", "invalid_duration"],
    ["duration('9999999h')", "out_of_range"],
    ["string(bytes('é'))", "é"],
    [String.raw`string(b'\xff')`, "invalid_utf8"],
    ["'a-b-c'.replace('-', '+')", "a+b+c"],
    ["'a-b-c'.replace('-', '+', 1)", "a+b-c"],
    ["'a-b-c'.replace('-', '', -1)", "abc"],
    ["''.replace('', 'x')", "x"],
    ["'é🂡b'.charAt(1)", "🂡"],
    ["'é🂡b'.charAt(3)", ""],
    ["'é🂡b'.charAt(4)", "index_out_of_bounds"],
    ["'é🂡b'.substring(2)", "b"],
    ["'é🂡b'.indexOf('b')", 2n],
    ["'🂡🂡'.lastIndexOf('🂡')", 1n],
    ["'ÀBcÉ\u212aİ'.lowerAscii() + 'ABC'.lowerAscii()", "ÀbcÉ\u212aİabc"],
    ["'àbCßŉ'.upperAscii() + 'abc'.upperAscii()", "àBCßŉABC"],
    ["'\u0085\u3000 \t\u2003a b\u00a0\u2029'.trim()", "a b"],
    ["'\ufeffa\u200b'.trim()", "\ufeffa\u200b"],
    ["' \t '.trim()", ""],
    ["size('é🂡b')", 3n],
    ["size('🂡🂡'.split(''))", 2n],
    ["'a,b,c'.split(',', 2)[1]", "b,c"],
    ["sets.contains(['a', 'b'], ['b'])", true],
    ["sets.contains(['a'], ['a', 'b'])", false],
    ["sets.contains([], [])", true],
    ["sets.intersects(metadata.list, ['c', 'b'])", true],
    ["sets.intersects(metadata.list, [])", false],
    ["sets.equivalent([1, 1, 2], [2.0, 1u])", true],
    ["sets.equivalent([1], [1, 2])", false],
    ["sets.contains(metadata.list, metadata.no)", "no_such_key"],
    ["string(base64.decode('YW5uOnB3'))", "ann:pw"],
    ["string(base64.decode('YQ==')) + string(base64.decode('YQ'))", "aa"],
    ["base64.decode('Y')", "invalid_base64"],
    ["base64.decode('YQ=')", "invalid_base64"],
    ["base64.decode('Y?==')", "invalid_base64"],
    ["base64.encode(b'ann:pw')", "YW5uOnB3"],
    ["b'a' < b'b' && b'a' < b'aa'", true],
    ["time.getHours('+25:00') == 1", "invalid_time_zone"],
    ["timestamp('2020-07-01T00:30:00Z').getHours('Europe/Paris')", 2n],
    ["timestamp('2020-01-01T00:30:00Z').getDayOfYear('America/New_York')", 364n],
    ["timestamp('2020-01-01T00:30:00Z').getMinutes('+05:45')", 15n],
    ["[].all(e, e > 0) && ![].exists(e, e) && {}.all(k, k)", true],
    ["has(metadata.nothing)", true],
    ["{'constructor': 1}.constructor", 1n],
    ["{1: 'a'}[1.0] + {1: 'a'}[1u]", "aa"],
    ["{1: 'a'}['1']", "no_such_key"],
    ["{'a': 1, 'a': 2}", "duplicate_key"],
    ["{1: 1, 1u: 2}", "duplicate_key"],
    ["{1: 1}.all(k, k == 1)", true],
    ["[1, 2].map(x, x > 1, x * 2)[0]", 4n],
    ["metadata.json.constructor", "x"],
    ["[1][dyn(0.0)]", 1n],
    // By code points: the units of UTF-16 have another order.
    [String.raw`'\uffee' < '\U0001F0A1' && '\U0001F0A1' > '\uffee' && 'a' < 'ab'`, true],
  ])("%s", (source, value) => {
    const metadata = { list: ["a", "b"], nothing: null, json: JSON.parse('{"constructor": "x"}') };
    expect(resultOf(source, { metadata })).toEqual(value);
  });

  test.each([
    ["ints", "9223372036854775807 + 1"],
    ["ints, below", "-9223372036854775807 - 2"],
    ["their product", "4611686018427387904 * 2"],
    ["the negative of the least", "-(-9223372036854775808)"],
    ["the least by -1", "-9223372036854775808 / -1"],
    ["uints", "0u - 1u"],
    ["uints, above", "18446744073709551615u + 1u"],
    ["converted", "int(9223372036854775808.0)"],
  ])("what leaves its range is an error: %s", (_name, source) => {
    expect(resultOf(source)).toBe("numeric_overflow");
  });

  test("a letter beyond ASCII in a literal of bytes is refused, as cel-js takes it for one byte", () => {
    expect(compileProgram("b'ÿ' == b''", "expression").problems[0]).toContain(
      "a literal of bytes has a character beyond ASCII at character 1",
    );
    expect(resultOf("bytes('ÿ') == b'\\303\\277'")).toBe(true);
  });
});

describe("functions are bounded", () => {
  test.each([
    ["text to replace in", "metadata.long.replace('x', 'y')"],
    ["a text that grows", "metadata.text.replace('x', metadata.text)"],
    ["a text of bytes that grows", "bytes(metadata.half).hex().size()"],
    ["another text of bytes that grows", "base64.encode(bytes(metadata.most)).size()"],
    ["text of code points beyond the basic plane", "metadata.pairs.charAt(1)"],
    ["a list in a list", "[metadata.text].map(a, metadata.text.split('')).map(b, b.join(metadata.text))"],
  ])("%s", (_name, source) => {
    const text = "x".repeat(MAX_MADE_TEXT / 1_024);
    const bytes = { half: "x".repeat(MAX_MADE_TEXT / 2 + 1), most: "x".repeat(MAX_MADE_TEXT - 100) };
    const metadata = {
      ...bytes,
      text,
      long: "x".repeat(MAX_SPLIT_TEXT + 1),
      pairs: "🂡".repeat(MAX_SPLIT_TEXT),
    };
    expect(resultOf(source, { metadata: { ...metadata, text: `${text}${text}` } })).toBe("too_large");
  });

  test("sets compare every item with every other", () => {
    const list = Array.from({ length: 1_000 }, (_, index) => `v${index}`);
    const others = list.map((item) => `${item}-`);
    expect(resultOf("sets.intersects(metadata.list, metadata.others)", { metadata: { list, others } })).toBe(
      "too_much_work",
    );
  });

  test("white space is trimmed in one pass, and JSON is paid for", () => {
    const body = `x${" ".repeat(4 * 1024 * 1024)}x`;
    expect(resultOf("size(request.body.trim())", { body })).toBe(BigInt(body.length));
    expect(resultOf("bytes(request.body).json()", { body: `"${"x".repeat(4 * 1024 * 1024)}"` })).toBe(
      "too_much_work",
    );
  });
});

test("every function that can be named can be called", () => {
  const operand: Readonly<Record<string, string>> = {
    string: "'1'",
    bool: "true",
    int: "1",
    uint: "1u",
    double: "1.0",
    bytes: "b'1'",
    null: "null",
    type: "int",
    list: "[1]",
    "list<dyn>": "[1]",
    "list<string>": "['a']",
    "map<dyn, dyn>": "{1: 1}",
    dyn: "dyn('1')",
    "google.protobuf.Timestamp": "time",
    "google.protobuf.Duration": "duration('1s')",
    Sets: "sets",
    Base64: "base64",
  };
  const calls = checker()
    .environment.getDefinitions()
    .functions.flatMap(({ name, receiverType, params }) => {
      const types = [...(receiverType === null ? [] : [receiverType]), ...params.map(({ type }) => type)];
      const operands = types.map((type) => operand[type]);
      if (operands.includes(undefined)) return [];
      const [first, ...rest] = operands;
      return receiverType === null
        ? `${name}(${operands.join(", ")})`
        : `${first}.${name}(${rest.join(", ")})`;
    });
  expect(calls.length).toBeGreaterThan(80);
  expect(calls.flatMap((call) => compileProgram(call, "expression").problems)).toEqual([]);
});

test("optional values are off, and cannot be named", () => {
  expect(checker().valueNames.has("optional")).toBe(false);
  expect(checker().functionNames.has("orValue")).toBe(false);
  expect(compileProgram("optional.none()", "expression").problems[0]).toContain("unknown");
  expect(compileProgram("metadata.x.hasValue()", "expression").problems[0]).toContain("unknown function");
});
