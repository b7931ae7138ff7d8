import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { compileCondition } from "./compile-condition.ts";
import { exchange } from "./condition-fixtures.ts";

describe("any source", () => {
  const leaf = fc.constantFrom(
    ...[
      "request.path",
      "request.body",
      "request.headers",
      'request.headers["x-a"]',
      "request.query.a",
      "request",
    ],
    ...[
      "metadata",
      "metadata.n",
      "metadata.list",
      "auth.claims",
      "auth.subject",
      "client.port",
      "response.status",
    ],
    ...[
      "route",
      "time",
      "1",
      "-1",
      "2.5",
      "0",
      '"a"',
      '"^(a+)+$"',
      "true",
      "null",
      "[]",
      "[1, 2]",
      '{"a": 1}',
      "x",
    ],
  );
  const { expression } = fc.letrec<{ expression: string }>((tie) => ({
    expression: fc.oneof(
      { depthSize: "small", withCrossShrink: true },
      leaf,
      fc
        .tuple(
          tie("expression"),
          fc.constantFrom("==", "!=", "<", "+", "-", "*", "/", "%", "in", "&&", "||"),
          tie("expression"),
        )
        .map(([a, op, b]) => `(${a} ${op} ${b})`),
      fc
        .tuple(
          tie("expression"),
          fc.constantFrom("all", "exists", "exists_one", "map", "filter"),
          tie("expression"),
        )
        .map(([a, macro, b]) => `${a}.${macro}(x, ${b})`),
      fc
        .tuple(
          tie("expression"),
          fc.constantFrom("matches", "contains", "split", "indexOf"),
          tie("expression"),
        )
        .map(([a, method, b]) => `${a}.${method}(${b})`),
      fc.tuple(tie("expression"), tie("expression")).map(([a, b]) => `${a}[${b}]`),
      fc
        .tuple(tie("expression"), fc.constantFrom("path", "Body", "n", "claims"))
        .map(([a, f]) => `${a}.${f}`),
      fc
        .tuple(
          fc.constantFrom("size", "int", "string", "dyn", "duration", "has", "!", "-"),
          tie("expression"),
        )
        .map(([f, a]) => `${f}(${a})`),
      fc
        .tuple(tie("expression"), tie("expression"), tie("expression"))
        .map(([a, b, c]) => `(${a} ? ${b} : ${c})`),
    ),
  }));
  const text = fc.constantFrom(
    ...[
      "request.path",
      "request.body",
      'request.headers["x-a"]',
      "request.Query.none",
      "route",
      "auth.subject",
    ],
    ...['"a"', '"^(a+)+$"', "string(client.port)", "request.path.lowerAscii()", '("a" + route)', "x"],
  );
  const list = fc.constantFrom("request.headers", "metadata.list", '["a", "b"]', 'request.path.split("/")');
  // Most of these compile, of the others one in fifty.
  const { decision } = fc.letrec<{ decision: string }>((tie) => ({
    decision: fc.oneof(
      { depthSize: "small", withCrossShrink: true },
      fc.tuple(text, fc.constantFrom("==", "!=", "<", ">="), text).map(([a, op, b]) => `${a} ${op} ${b}`),
      fc
        .tuple(text, fc.constantFrom("matches", "contains", "startsWith"), text)
        .map(([a, method, b]) => `${a}.${method}(${b})`),
      fc.tuple(text, list).map(([a, b]) => `${a} in ${b}`),
      fc
        .tuple(list, fc.constantFrom("all", "exists", "exists_one"), tie("decision"))
        .map(([a, macro, b]) => `${a}.${macro}(x, ${b})`),
      fc
        .tuple(tie("decision"), fc.constantFrom("&&", "||", "=="), tie("decision"))
        .map(([a, op, b]) => `(${a}) ${op} (${b})`),
      tie("decision").map((a) => `!(${a})`),
      fc.tuple(leaf, leaf).map(([a, b]) => `dyn(${a}) == dyn(${b})`),
    ),
  }));
  const source = fc.oneof(expression, decision);
  const input = exchange({
    headers: [["x-a", "1"]],
    rawQuery: "a=b",
    body: "aaaa",
    metadata: { n: 3, list: ["a", 1, [true]], auth: { subject: "s", claims: { n: [1] } } },
  });

  /** Whatever the source: problems, or a condition that gives a bool or throws its one error. */
  function holds(source: string): boolean {
    const { condition, problems } = compileCondition(source);
    expect(problems.length === 0).toBe(condition !== undefined);
    if (condition === undefined) return false;
    try {
      expect(typeof condition.evaluate(input)).toBe("boolean");
    } catch (error) {
      expect((error as Error).name).toBe("CelError");
    }
    return true;
  }

  test("random expressions compile or give problems, and never do anything else", () => {
    let conditions = 0;
    fc.assert(
      fc.property(source, (sample) => {
        if (holds(sample)) conditions++;
      }),
      { numRuns: 3_000 },
    );
    // Else the property would say nothing about evaluation.
    expect(conditions).toBeGreaterThan(500);
  });

  test("random texts do no harm", () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string({ unit: "binary" }),
          fc.string({ unit: fc.constantFrom(...'request.body"[](){}?:&|!=<>+-,1 x\\') }),
        ),
        (source) => {
          holds(source);
        },
      ),
      { numRuns: 2_000 },
    );
  });

  test("an expression that does not name a body never reads one", () => {
    let read = false;
    const watched = exchange({ headers: [["x-a", "1"]], metadata: { n: 3, list: ["a"] } });
    Object.assign(watched, {
      text() {
        read = true;
        return "aaaa";
      },
    });
    let readers = 0;
    fc.assert(
      fc.property(source, (sample) => {
        const { condition } = compileCondition(sample);
        if (condition === undefined) return;
        read = false;
        try {
          condition.evaluate(watched);
        } catch (error) {
          expect((error as Error).name).toBe("CelError");
        }
        if (read) readers++;
        if (!condition.reads.requestBody) expect(read).toBe(false);
      }),
      { numRuns: 3_000 },
    );
    expect(readers).toBeGreaterThan(50);
  });
});
