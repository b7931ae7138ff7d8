import { describe, expect, test } from "bun:test";
import { gzipSync } from "node:zlib";
import { type TestAnswer, type TestChain, type TestExchange, testPolicy } from "@policy-engine/testing";
import { SUPPORTED } from "./json-schema.ts";
import * as policy from "./policy.ts";

function validator(params: unknown): Promise<TestChain> {
  return testPolicy(policy, { definition: import.meta.url, params });
}

const JSON_TYPE = { "content-type": "application/json" };

function post(chain: TestChain, body: string | Uint8Array, headers = JSON_TYPE): Promise<TestExchange> {
  return chain.request({ method: "POST", headers, body });
}

interface Problem {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly detail: string;
  readonly errors?: readonly { readonly detail: string; readonly pointer: string }[];
}

/** The problem details of an answer, which has to say that it has some. */
function problemOf(answer: TestAnswer | undefined): Problem {
  expect(answer?.headers.get("content-type")).toBe("application/problem+json");
  return JSON.parse(answer!.body);
}

/** What is wrong with a body, as `pointer detail`. */
async function errorsIn(schema: unknown, body: string): Promise<string[]> {
  await using chain = await validator({ schema });
  const { outcome, answer } = await post(chain, body);
  if (outcome === "passed") return [];
  return problemOf(answer).errors?.map(({ pointer, detail }) => `${pointer} ${detail}`) ?? ["?"];
}

describe("required fields", () => {
  test("by name and by JSON Pointer", async () => {
    const required = ["email", "/user/name", "/items/0/id", "/a~1b/~0", "/e\u00e9"];
    await using chain = await validator({ required });
    const whole = { email: "", user: { name: 0 }, items: [{ id: false }], "a/b": { "~": [] }, "e\u00e9": {} };
    const exchange = await post(chain, JSON.stringify(whole));
    expect([exchange.outcome, exchange.changes]).toEqual(["passed", {}]);
    const { answer } = await post(chain, '{"email":null,"user":"name","items":{"0":{"id":1}}}');
    expect(answer).toMatchObject({ status: 400, reason: "body_invalid" });
    expect(problemOf(answer)).toEqual({
      type: "about:blank",
      title: "Bad Request",
      status: 400,
      detail: "The body is not as it should be",
      errors: [
        { detail: "is missing", pointer: "#/email" },
        { detail: "is missing", pointer: "#/user/name" },
        { detail: "is missing", pointer: "#/a~1b/~0" },
        { detail: "is missing", pointer: "#/e%C3%A9" },
      ],
    });
  });

  test("edge: of no object, and of names that every object has", async () => {
    await using chain = await validator({ required: ["constructor", "__proto__", "/length"] });
    for (const body of ["[]", "null", '"text"', "{}"]) {
      const { answer } = await post(chain, body);
      expect(problemOf(answer).errors).toHaveLength(3);
    }
    expect((await post(chain, '{"constructor":1,"__proto__":2,"length":3}')).outcome).toBe("passed");
  });
});

describe("the schema of the body", () => {
  const cases: [schema: unknown, fits: readonly string[], errors: Record<string, readonly string[]>][] = [
    [{ type: "integer" }, ["1", "1.0", "-0"], { "1.5": ["# must be integer"], '"1"': ["# must be integer"] }],
    [{ type: ["string", "null"] }, ['""', "null"], { "0": ["# must be string or null"] }],
    [{ type: "object" }, ["{}"], { "[]": ["# must be object"], null: ["# must be object"] }],
    [
      { enum: ["a", 1, { b: [null] }] },
      ['"a"', "1", '{"b":[null]}'],
      {
        '"b"': ["# must be one of the values allowed"],
        '{"b":[null,0]}': ["# must be one of the values allowed"],
      },
    ],
    [{ const: { a: 1, b: 2 } }, ['{"b":2,"a":1}'], { '{"a":1}': ["# must be the value allowed"] }],
    [
      { required: ["a", "b"], properties: { a: { type: "string" }, c: { minimum: 1 } } },
      ['{"a":"","b":0}', "[]", '{"a":"","b":0,"d":1}'],
      { '{"a":1,"c":0}': ["#/b is missing", "#/a must be string", "#/c must be at least 1"] },
    ],
    [
      { properties: { a: true }, additionalProperties: false },
      ['{"a":1}', "{}"],
      {
        '{"a":1,"b/c":2}': ["#/b~1c must not be there"],
        '{"__proto__":1}': ["#/__proto__ must not be there"],
      },
    ],
    [{ additionalProperties: { type: "number" } }, ['{"a":1}'], { '{"a":""}': ["#/a must be number"] }],
    [
      { items: { type: "boolean" }, minItems: 1, maxItems: 2 },
      ["[true]", "{}"],
      { "[]": ["# must have at least 1 item"], "[true,1]": ["#/1 must be boolean"] },
    ],
    [
      { minLength: 2, maxLength: 3 },
      ['"ab"', '"😀😀😀"', '"\\ud800\\ud800"'],
      { '"😀"': ["# must have at least 2 characters"], '"abcd"': ["# must have at most 3 characters"] },
    ],
    [{ minProperties: 1, maxProperties: 1 }, ['{"a":1}'], { "{}": ["# must have at least 1 member"] }],
    [
      { exclusiveMinimum: 0, exclusiveMaximum: 10 },
      ["0.1", "9"],
      { "0": ["# must be more than 0"], "10": ["# must be less than 10"] },
    ],
    [{ maximum: 5 }, ["5", '"9"'], { "5.1": ["# must be at most 5"] }],
    [{ pattern: "^[a-z]+$" }, ['"abc"', "1"], { '"a1"': ["# does not match the pattern"] }],
    [
      { allOf: [{ minimum: 1 }, { type: "integer" }] },
      ["1"],
      { "0.5": ["# must be at least 1", "# must be integer"] },
    ],
    [
      { anyOf: [{ type: "string" }, { minimum: 5 }] },
      ['""', "5"],
      { "4": ["# must fit one of the forms allowed"] },
    ],
    [
      { oneOf: [{ minimum: 1 }, { maximum: 3 }] },
      ["0", "4"],
      { "2": ["# must fit exactly one of the forms allowed"] },
    ],
    [{ not: { type: "null" } }, ["0"], { null: ["# has a form that is not allowed"] }],
    [{ properties: { a: false } }, ["{}"], { '{"a":null}': ["#/a must not be there"] }],
    [{ title: "t", description: "d", default: 1, examples: [], $comment: "c", deprecated: true }, ["1"], {}],
  ];
  test.each(cases)("%j", async (schema, fits, errors) => {
    for (const body of fits) expect([body, await errorsIn(schema, body)]).toEqual([body, []]);
    for (const [body, expected] of Object.entries(errors))
      expect([body, await errorsIn(schema, body)]).toEqual([body, [...expected]]);
  });

  test("has the keywords that the README names, and no other", async () => {
    const readme = await Bun.file(new URL("README.md", import.meta.url)).text();
    const [named = ""] = /^\*\*Keywords\*\*[\s\S]*?`deprecated`/m.exec(readme) ?? [];
    const names = [...named.matchAll(/`([^`]+)`/g)].map(([, name]) => name!);
    expect(names.filter((name) => !/^(true|false)$/.test(name)).sort()).toEqual([...SUPPORTED].sort());
  });

  test("and required fields, together", async () => {
    await using chain = await validator({
      required: ["id"],
      schema: { properties: { age: { minimum: 0 } } },
    });
    expect(problemOf((await post(chain, '{"age":-1}')).answer).errors).toEqual([
      { detail: "is missing", pointer: "#/id" },
      { detail: "must be at least 0", pointer: "#/age" },
    ]);
  });
});

describe("edge: what a client can send", () => {
  test("is not JSON", async () => {
    await using chain = await validator({ required: ["a"] });
    const bodies = [
      "",
      "{",
      "{'a':1}",
      "\ufeff{}",
      "[".repeat(65) + "]".repeat(65),
      new Uint8Array([0x22, 0xff, 0x22]),
    ];
    for (const body of bodies) {
      const { answer } = await post(chain, body);
      expect(problemOf(answer)).toMatchObject({
        status: 400,
        detail: "The body is not JSON, or nested too deep",
      });
    }
  });

  test("names a member twice, at any depth, however it is spelled", async () => {
    const body = '{"a":[{"b":1},{"b":1,"c":{"b":"}{,"},"\\u0062":2}],"a":0,"d":[[],{}],"e":{}}';
    expect(await errorsIn({}, body)).toEqual(["#/a/1/b is there twice", "#/a is there twice"]);
    expect(await errorsIn({}, '[{"a":1},{"a":1},["a","a"],{"b":{"a":{"a":"a"}}}]')).toEqual([]);
  });

  test("has more errors than an answer lists, at a place of a long name", async () => {
    await using chain = await validator({ schema: { items: { type: "string" } }, maxErrors: 3 });
    const many = problemOf((await post(chain, JSON.stringify(Array(1000).fill(0)))).answer);
    expect(many.errors?.map(({ pointer }) => pointer)).toEqual(["#/0", "#/1", "#/2"]);
    const [error] = await errorsIn(
      { additionalProperties: false },
      JSON.stringify({ ["n".repeat(100_000)]: 1 }),
    );
    expect(error).toBe(`#/${"n".repeat(254)}… must not be there`);
    expect(await errorsIn({ additionalProperties: false }, '{"\\ud800":1}')).toEqual([
      "#/%EF%BF%BD must not be there",
    ]);
  });

  test("takes too much work", async () => {
    await using chain = await validator({ schema: { pattern: "^(a?){50}(a*)*b$" } });
    const { answer } = await post(chain, `"${"a".repeat(1_000_000)}"`);
    expect(problemOf(answer)).toMatchObject({ status: 413, detail: "The body is too large to be checked" });
  });

  test("is compressed, or says in another way that it is JSON", async () => {
    await using chain = await validator({ required: ["a"] });
    const coded = { ...JSON_TYPE, "content-encoding": "gzip" };
    const exchange = await post(chain, new Uint8Array(gzipSync('{"a":1}')), coded);
    expect([exchange.outcome, exchange.changes]).toEqual(["passed", {}]);
    expect((await post(chain, new Uint8Array(gzipSync("{}")), coded)).answer?.status).toBe(400);
    for (const type of ["Application/JSON; charset=utf-8", "application/vnd.acme+json"])
      expect((await post(chain, "{}", { "content-type": type })).answer?.status).toBe(400);
  });

  test("is not JSON by its content-type: 415, or passed on", async () => {
    await using refusing = await validator({ required: ["a"] });
    for (const type of ["text/plain", "application/json, text/plain", "application/jsonp", "json", ""]) {
      const { answer } = await post(refusing, '{"a":1}', { "content-type": type });
      expect(problemOf(answer)).toMatchObject({ status: 415, title: "Unsupported Media Type" });
    }
    expect((await refusing.request({ method: "POST" })).answer?.status).toBe(415);
    await using passing = await validator({ required: ["a"], otherContentTypes: "pass" });
    expect((await post(passing, "x", { "content-type": "text/plain" })).outcome).toBe("passed");
  });

  test("comes with another method, which is not checked", async () => {
    await using chain = await validator({ required: ["a"] });
    expect((await chain.request({ method: "GET" })).outcome).toBe("passed");
    expect((await chain.request({ method: "post", body: {} })).answer?.status).toBe(400);
    await using deleting = await validator({ required: ["a"], methods: ["DELETE"] });
    expect((await deleting.request({ method: "DELETE", body: {} })).answer?.status).toBe(400);
    expect((await deleting.request({ method: "POST", body: {} })).outcome).toBe("passed");
  });
});

describe("US8: refuses parameters", () => {
  const refused: [string, unknown, string][] = [
    ["none", {}, "nothing is checked"],
    ["a pointer that is none", { required: ["a/b"] }, "a JSON Pointer"],
    ["an escape that is none", { required: ["/a~2"] }, "a JSON Pointer"],
    [
      "a keyword that is not supported",
      { schema: { items: { $ref: "#" } } },
      "schema/items/$ref is not supported",
    ],
    ["a mistyped keyword", { schema: { propertys: {} } }, "schema/propertys is not supported"],
    ["a type that is none", { schema: { type: "text" } }, "schema/type has a value"],
    ["a schema that is none", { schema: { allOf: [{}, 1] } }, "schema/allOf/1 is not a schema"],
    ["a negative length", { schema: { minLength: -1 } }, "schema/minLength has a value"],
    [
      "a broken pattern",
      { schema: { pattern: "(" } },
      "schema/pattern the pattern is not a regular expression",
    ],
    ["a pattern that looks around", { schema: { pattern: "^(?!a)" } }, "looks around"],
    ["too many errors", { required: ["a"], maxErrors: 101 }, "maxErrors"],
  ];
  test.each(refused)("%s", async (_what, params, message) => {
    await expect(validator(params)).rejects.toThrow(message);
  });

  test("a schema that is too deep", async () => {
    let schema: unknown = {};
    for (let depth = 0; depth < 40; depth++) schema = { items: schema };
    await expect(validator({ schema })).rejects.toThrow("deeper than 32 levels");
  });
});
