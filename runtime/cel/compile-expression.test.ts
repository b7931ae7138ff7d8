import { describe, expect, test } from "bun:test";
import type { Expression } from "@policy-engine/sdk";
import type { CelError } from "./cel-error.ts";
import { compileExpression } from "./compile-expression.ts";
import { exchange, type Facts } from "./condition-fixtures.ts";
import { MAX_VALUE_DEPTH } from "./to-plain.ts";

const ALL = { requestBody: true, responseBody: true, response: true };

function compiled(source: string): Expression {
  const { expression, problems } = compileExpression(source, ALL);
  if (expression === undefined) throw new Error(problems.join("\n"));
  return expression;
}

function resultOf(source: string, facts?: Facts): unknown {
  return compiled(source).evaluate(exchange(facts) as never);
}

function codeOf(source: string, facts?: Facts): string {
  try {
    return `no error but ${JSON.stringify(resultOf(source, facts))}`;
  } catch (error) {
    expect((error as CelError).name).toBe("CelError");
    return (error as CelError).code;
  }
}

/** A list in a list in a list. */
function nested(depth: number): unknown {
  let value: unknown = 1;
  for (let level = 0; level < depth; level++) value = [value];
  return value;
}

test("what one exchange does to a value, another does not see", () => {
  const literal = compiled("[b'ab']");
  const [bytes] = literal.evaluate(exchange() as never) as [Uint8Array];
  bytes[0] = 0;
  expect(literal.evaluate(exchange() as never)).toEqual([new Uint8Array([97, 98])]);
  const at = new Date(0);
  (resultOf("metadata.at", { metadata: { at } }) as Date).setTime(1);
  expect(at.getTime()).toBe(0);
});

describe("an expression gives", () => {
  const metadata = { auth: { claims: { roles: ["a"], n: 7 } }, seen: new Set(["x"]), none: null };
  test.each<[string, unknown, string]>([
    ["request.path == '/'", false, "bool"],
    ["request.path", "/api/customers", "string"],
    ["null", null, "null"],
    ["size(request.path) + 1", 15, "int"],
    ["9007199254740991", 9_007_199_254_740_991, "int"],
    ["9007199254740992", 9_007_199_254_740_992n, "int"],
    ["-9223372036854775807", -9_223_372_036_854_775_807n, "int"],
    ["7u", 7, "uint"],
    ["18446744073709551615u", 18_446_744_073_709_551_615n, "uint"],
    ["1.5", 1.5, "double"],
    ["b'ab'", new Uint8Array([97, 98]), "bytes"],
    ["timestamp('2020-01-01T00:00:00Z')", new Date("2020-01-01T00:00:00Z"), "google.protobuf.Timestamp"],
    ["duration('1.5s')", 1_500, "google.protobuf.Duration"],
    ["[1, [2u]]", [1, [2]], "list<dyn>"],
    ["auth.claims.roles", ["a"], "dyn"],
    ["auth.claims.n", 7, "dyn"],
    ["metadata.seen", ["x"], "dyn"],
    ["metadata.none", null, "dyn"],
    ["request.headers", { "x-a": "1" }, "map<string, string>"],
    ["{1: 'a', true: ['b'], 'c': {}}", { 1: "a", true: ["b"], c: {} }, "map<dyn, dyn>"],
  ])("%s", (source, value, type) => {
    const result = resultOf(source, { headers: [["x-a", "1"]], metadata });
    const plain = (made: unknown) => (made instanceof Uint8Array ? [...made] : made);
    expect(plain(result)).toEqual(plain(value));
    expect(
      compiled(source)
        .type.replace(/^map$/, "map<dyn, dyn>")
        .replace(/^list$/, "list<dyn>"),
    ).toBe(type);
  });

  test("maps without a prototype, whatever their keys", () => {
    const value = resultOf("metadata.map", { metadata: { map: new Map([["__proto__", "x"]]) } });
    expect(Object.getPrototypeOf(value)).toBeNull();
    expect(Object.entries(value as object)).toEqual([["__proto__", "x"]]);
  });

  test("copies, so that a policy cannot change what others see", () => {
    const metadata = { list: [1], map: { a: [2] } };
    (resultOf("metadata.list", { metadata }) as unknown[]).push(3);
    (resultOf("metadata.map", { metadata }) as { a: unknown[] }).a.push(3);
    expect(metadata).toEqual({ list: [1], map: { a: [2] } });
  });

  test("what the metadata holds at that moment", () => {
    const input = exchange();
    const subject = compiled("auth.subject + string(size(metadata))");
    expect(subject.evaluate(input as never)).toBe("0");
    (input.metadata as Map<string, unknown>).set("auth", { subject: "ann" });
    expect(subject.evaluate(input as never)).toBe("ann1");
  });
});

describe("an expression has no value", () => {
  test.each<[string, string, Facts]>([
    ["metadata.none", "no_such_key", {}],
    ["response.status", "not_there", {}],
    ["request.body", "not_there", { body: null }],
    ["[client]", "unsupported_type", {}],
    [
      "metadata.map",
      "duplicate_key",
      {
        metadata: {
          map: new Map<unknown, unknown>([
            [1, 0],
            ["1", 0],
          ]),
        },
      },
    ],
    ["metadata.odd", "unsupported_type", { metadata: { odd: new URL("http://x") } }],
    ["metadata.odd", "unsupported_type", { metadata: { odd: [() => 1] } }],
    ["metadata.deep", "too_large", { metadata: { deep: nested(MAX_VALUE_DEPTH + 1) } }],
    ["metadata.long", "too_large", { metadata: { long: Array(1_001).fill(1) } }],
  ])("%s is %s", (source, code, facts) => {
    expect(codeOf(source, facts)).toBe(code);
  });

  test("when it would be too large: the same list many times over", () => {
    const wide = (name: string) => `[${Array(20).fill(name).join(",")}]`;
    const grown = `[1].map(a, ${wide("a")}).map(b, ${wide("b")}).map(c, ${wide("c")}).map(d, ${wide("d")})`;
    expect(codeOf(grown)).toBe("too_much_work");
    expect(resultOf("metadata.deep", { metadata: { deep: nested(MAX_VALUE_DEPTH) } })).toBeDefined();
  });

  test("when a list holds itself", () => {
    const loop: unknown[] = [];
    loop.push(loop);
    expect(codeOf("metadata.loop", { metadata: { loop } })).toBe("too_large");
  });

  test("for what is no context", () => {
    expect(() => compiled("request.path").evaluate(undefined as never)).toThrow(
      'Cannot evaluate expression "request.path": internal error',
    );
  });
});

describe("an expression does not compile", () => {
  const none = { requestBody: false, responseBody: false, response: false };
  test.each([
    ["", "Cannot compile expression: it is no text, a CEL expression is needed"],
    [7, "Cannot compile expression: it is no text, a CEL expression is needed"],
    ["request.pth", 'unknown field "pth" of "request" at character 9, did you mean "path"?'],
    ["client", '"client": its value is client as a whole, one of its fields is needed'],
    ["request.original", "its value is original as a whole"],
    ["request.body", 'it reads "request.body", "requiresRequestBody" of the definition is needed'],
    ["response.status", 'it reads "response", but the definition says "supportsResponsePhase: false"'],
  ])("%j", (source, message) => {
    const { expression, problems } = compileExpression(source, none);
    expect(expression).toBeUndefined();
    expect(problems.join("\n")).toContain(message);
  });

  test("with all its problems", () => {
    expect(compileExpression("nme == rout", ALL).problems).toHaveLength(2);
    expect(compileExpression("response.body + request.body", none).problems).toHaveLength(3);
  });
});
