import { describe, expect, test } from "bun:test";
import { type CompiledSchema, compileSchema } from "./schema.ts";

function compiled(schema: unknown): CompiledSchema {
  const result = compileSchema(schema);
  expect(result.problems).toEqual([]);
  return result.schema!;
}

function messages(schema: unknown, value: unknown): string[] {
  return compiled(schema)
    .check(value)
    .map(({ pointer, message }) => `${pointer} ${message}`);
}

describe("check() says what is needed", () => {
  const of = (property: unknown, value: unknown): string[] =>
    messages({ type: "object", properties: { a: property } }, { a: value });

  test.each([
    [{ type: "string" }, 3, '"a" must be a string, not a number'],
    [{ type: "integer" }, 1.5, '"a" must be a whole number, not a number'],
    [{ type: ["string", "null"] }, [], '"a" must be a string or null, not a list'],
    [{ type: "object" }, null, '"a" must be a map, not null'],
    [{ type: "boolean" }, "yes", '"a" must be true or false, not a string'],
    [{ enum: ["x", "y", 3] }, "z", '"a" must be "x", "y" or 3'],
    [{ const: "x" }, "z", '"a" must be "x"'],
    [{ minimum: 1 }, -5, '"a" must be at least 1'],
    [{ maximum: 5 }, 6, '"a" must be at most 5'],
    [{ exclusiveMinimum: 0 }, 0, '"a" must be more than 0'],
    [{ exclusiveMaximum: 9 }, 9, '"a" must be less than 9'],
    [{ multipleOf: 2 }, 3, '"a" must be a multiple of 2'],
    [{ minLength: 1 }, "", '"a" must not be empty'],
    [{ minLength: 3 }, "x", '"a" must have at least 3 characters'],
    [{ maxLength: 1 }, "xy", '"a" must have at most 1 character'],
    [{ pattern: "^x+$" }, "y", '"a" must match the pattern ^x+$'],
    [{ format: "uri" }, "no uri", '"a" must be a URI such as "https://example.com/"'],
    [{ format: "ipv4" }, "1.2.3", '"a" must be an IPv4 address'],
    [{ minItems: 1 }, [], '"a" must not be empty'],
    [{ maxItems: 1 }, [1, 2], '"a" must have at most 1 item'],
    [{ uniqueItems: true }, [1, 1], '"a" must not list anything twice: 1 item repeated'],
    [{ contains: { const: 1 } }, [2], '"a" lacks an item that it must contain'],
    [{ minProperties: 1 }, {}, '"a" must have at least 1 key'],
    [{ maxProperties: 0 }, { x: 1 }, '"a" must have at most 0 keys'],
    [{ not: { type: "string" } }, "x", '"a" is something that is not allowed here'],
    [{ oneOf: [{ type: "string" }, { minLength: 1 }] }, "x", '"a" fits several forms where it must fit one'],
    [{ dependentRequired: { x: ["y"] } }, { x: 1 }, '"x" needs "y" beside it'],
    [
      // biome-ignore lint/suspicious/noThenProperty: a keyword of JSON Schema
      { if: { type: "string" }, then: { minLength: 2 } },
      "x",
      '"a" does not fit what its other values ask for',
    ],
    [{ if: { type: "string" }, else: { minimum: 2 } }, 1, '"a" must be at least 2'],
    [false, 1, '"a" must not be given here'],
  ])("%j", (property, value, message) => {
    expect(of(property, value)).toEqual([`/a ${message}`]);
  });

  test("a failed union says what its fitting branch says", () => {
    const union = { anyOf: [{ type: "string" }, { type: "array", items: { type: "string" } }] };
    expect(of(union, 3)).toEqual(['/a "a" must be a string or a list, not a number']);
    expect(of(union, ["x", 1])).toEqual(['/a/1 "a[1]" must be a string, not a number']);
    const forms = { anyOf: [{ pattern: "^a" }, { pattern: "^b" }] };
    expect(of(forms, "c")).toEqual(['/a "a" has none of the allowed forms']);
    expect(of({ anyOf: [union, { type: "null" }] }, 3)).toEqual([
      '/a "a" must be a string, a list or null, not a number',
    ]);
  });

  test("many errors are all told", () => {
    const value = Array.from({ length: 300 }, () => 1);
    expect(messages({ type: "array", items: { type: "string" } }, value)).toHaveLength(300);
  });

  test("the whole value has a name too", () => {
    expect(messages({ type: "object" }, [])).toEqual([" The value must be a map, not a list"]);
  });
});

describe("check() and keys", () => {
  const schema = {
    type: "object",
    additionalProperties: false,
    required: ["name", "version"],
    properties: { name: {}, version: {}, inner: { $ref: "#/$defs/inner" } },
    $defs: { inner: { type: "object", additionalProperties: false, required: ["x"], properties: { x: {} } } },
  };

  test("missing required fields are listed in one issue", () => {
    expect(messages(schema, {})).toEqual([' Missing required fields "name", "version"']);
    expect(messages(schema, { name: 1, version: 2, inner: {} })).toEqual([
      '/inner Missing required field "x" in "inner"',
    ]);
  });

  test("an unknown key is one issue at the key, with the nearest known one", () => {
    expect(compiled(schema).check({ nmae: 1, name: 1, version: 1, inner: { x: 1, zzzz: 1 } })).toEqual([
      { pointer: "/nmae", message: 'Unknown key "nmae"', hint: 'Did you mean "name"?', at: "key" },
      { pointer: "/inner/zzzz", message: 'Unknown key "zzzz" in "inner"', hint: "Known here: x", at: "key" },
    ]);
  });

  test("members that every object inherits are not known", () => {
    expect(messages({ type: "object", additionalProperties: false }, { constructor: 1 })).toEqual([
      '/constructor Unknown key "constructor"',
    ]);
  });

  test("a schema for further keys speaks for itself", () => {
    expect(messages({ additionalProperties: { type: "string" } }, { x: 1 })).toEqual([
      '/x "x" must be a string, not a number',
    ]);
  });

  test("names of keys", () => {
    expect(messages({ propertyNames: { pattern: "^x-" } }, { "x-a": 1, "y/z": 1 })).toEqual([
      '/y~1z Cannot use the key "y/z" here: it must match the pattern ^x-',
    ]);
  });
});

describe("errorMessage", () => {
  test('US8.1: "jwksUrl must be HTTPS" takes the place of what the validator says', () => {
    const jwksUrl = {
      type: "string",
      format: "uri",
      pattern: "^https://",
      errorMessage: "jwksUrl must be HTTPS",
    };
    const schema = { type: "object", properties: { jwksUrl } };
    expect(messages(schema, { jwksUrl: "http://example.com/" })).toEqual(["/jwksUrl jwksUrl must be HTTPS"]);
    expect(messages(schema, { jwksUrl: "nonsense" })).toEqual(["/jwksUrl jwksUrl must be HTTPS"]);
    expect(messages(schema, { jwksUrl: "https://example.com/" })).toEqual([]);
  });

  test("is found behind a reference, in a union and for items", () => {
    const schema = {
      properties: {
        a: { $ref: "#/$defs/a" },
        b: { anyOf: [{ const: 1 }, { const: 2 }], errorMessage: "one or two" },
        c: { items: { $ref: "#/$defs/a" } },
        d: { type: "object", properties: { e: { type: "string" } }, errorMessage: "d is wrong" },
      },
      $defs: { a: { type: "integer", errorMessage: "count them" } },
    };
    expect(messages(schema, { a: "x", b: 3, c: [1, "x"] })).toEqual([
      "/a count them",
      "/b one or two",
      "/c/1 count them",
    ]);
    expect(messages(schema, { d: { e: 1 } })).toEqual(['/d/e "d.e" must be a string, not a number']);
    expect(messages(schema, { d: 1 })).toEqual(["/d d is wrong"]);
  });
});

test("values are never quoted", () => {
  const schema = {
    properties: {
      a: { type: "string", pattern: "^x$", maxLength: 3, format: "uri", enum: ["x"] },
      b: { anyOf: [{ const: 1 }, { pattern: "^y" }] },
      c: { type: "integer" },
    },
  };
  const issues = compiled(schema).check({ a: "hunter2", b: "hunter2", c: "hunter2" });
  expect(issues.length).toBeGreaterThan(4);
  expect(JSON.stringify(issues)).not.toContain("hunter2");
});

describe("withDefaults()", () => {
  test("fills in what is missing, also in lists, maps, references and defaults", () => {
    const schema = {
      type: "object",
      allOf: [{ properties: { z: { default: 0 } } }],
      properties: {
        a: { type: "integer", default: 1 },
        list: { type: "array", items: { $ref: "#/$defs/item" } },
        map: { type: "object", additionalProperties: { $ref: "#/$defs/item" } },
        nested: { type: "object", default: {}, properties: { b: { default: "x" } } },
        absent: { type: "object", properties: { c: { default: 1 } } },
      },
      $defs: { item: { type: "object", properties: { on: { type: "boolean", default: true } } } },
    };
    expect(compiled(schema).withDefaults({ list: [{}, { on: false }], map: { k: {} } })).toEqual({
      a: 1,
      z: 0,
      list: [{ on: true }, { on: false }],
      map: { k: { on: true } },
      nested: { b: "x" },
    });
  });

  test("leaves its argument and the schema alone", () => {
    const list: unknown[] = [];
    const value = Object.freeze({ list });
    const schema = { properties: { d: { default: ["x"] } } };
    const first = compiled(schema).withDefaults(value) as { list: unknown[]; d: string[] };
    expect(first.list).not.toBe(list);
    first.d.push("y");
    expect(compiled(schema).withDefaults({})).toEqual({ d: ["x"] });
  });

  test("null is a value, not a missing key", () => {
    expect(compiled({ properties: { a: { default: 1 } } }).withDefaults({ a: null })).toEqual({ a: null });
  });

  test("a default within itself ends", () => {
    const schema = { type: "object", properties: { child: { $ref: "#/$defs/node" } }, $defs: {} };
    const node = { type: "object", default: {}, properties: { child: { $ref: "#/$defs/node" } } };
    expect(compiled({ ...schema, $defs: { node } }).withDefaults({})).toEqual({ child: {} });
  });

  test("a key named __proto__ stays a key", () => {
    const value = JSON.parse('{"__proto__": {"isAdmin": true}}');
    const copy = compiled({}).withDefaults(value) as { isAdmin?: boolean };
    expect(copy.isAdmin).toBeUndefined();
    expect(Object.keys(copy)).toEqual(["__proto__"]);
  });
});

describe("compileSchema() refuses", () => {
  test.each([
    [3, "A schema must be a map"],
    [{ type: "strin" }, '/type: Unknown type "strin"'],
    [{ properties: { a: { patern: "x" } } }, '/properties/a/patern: Unknown schema keyword "patern"'],
    [{ format: "urll" }, '/format: Unknown format "urll"'],
    [{ pattern: "(" }, '/pattern: Cannot use the pattern "(": missing )'],
    [{ patternProperties: { "[": {} } }, /^\/patternProperties: Cannot use the pattern "\["/],
    [
      { $ref: "https://example.com/s.json" },
      '/$ref: Cannot follow "https://example.com/s.json": only references within the schema are followed',
    ],
    [{ $ref: "file:///etc/passwd" }, /only references within the schema/],
    [{ $ref: "#/$defs/none" }, '/$ref: Cannot follow "#/$defs/none": there is no schema at that place'],
    [{ $ref: "#/constructor" }, /there is no schema at that place/],
    [{ $ref: "#" }, '/$ref: Cannot follow "#": it leads back to itself without looking at any part'],
    [{ anyOf: [{ $ref: "#/anyOf/0" }] }, /it leads back to itself/],
    [{ $id: "x" }, '/$id: Unknown schema keyword "$id"'],
    [{ required: ["toString"] }, /^\/required: Cannot use the name "toString"/],
    [{ properties: { constructor: {} } }, /^\/properties: Cannot use the name "constructor"/],
    [{ items: [{}] }, "/items: A schema must be a map, true or false"],
    [{ properties: [] }, '/properties: "properties" must be a map of schemas'],
    [{ anyOf: [] }, '/anyOf: "anyOf" must be a list of schemas'],
    [{ enum: [] }, '/enum: "enum" must be a list of values'],
    [{ required: ["a", "a"] }, '/required: "required" must be a list of different names'],
    [{ minLength: -1 }, '/minLength: "minLength" must be a whole number, 0 or more'],
    [{ minimum: "1" }, '/minimum: "minimum" must be a number'],
    [{ multipleOf: 0 }, '/multipleOf: "multipleOf" must be more than 0'],
    [{ secret: true }, '/secret: A secret must have "type: string" beside it'],
    [
      { type: "string", secret: true, default: "x" },
      '/default: A secret cannot have "default": it would be public',
    ],
    [{ setsHeader: true }, '/setsHeader: "setsHeader" must be "request" or "response"'],
    [{ anyOf: [{ default: 1 }] }, /^\/anyOf\/0\/default: A default cannot stand where/],
  ])("%j", (schema, problem) => {
    const result = compileSchema(schema);
    expect(result.schema).toBeUndefined();
    expect(result.problems).toHaveLength(1);
    if (typeof problem === "string") expect(result.problems[0]).toBe(problem);
    else expect(result.problems[0]).toMatch(problem);
  });

  test("all problems at once, in order", () => {
    const { problems } = compileSchema({ type: "x", pattern: 3, properties: { a: { minLength: "1" } } });
    expect(problems.map((problem) => problem.split(":")[0])).toEqual([
      "/pattern",
      "/properties/a/minLength",
      "/type",
    ]);
  });

  test("but not what recurs through a part of the value", () => {
    const tree = { type: "object", additionalProperties: false, properties: { child: { $ref: "#" } } };
    expect(messages(tree, { child: { child: { x: 1 } } })).toEqual([
      '/child/child/x Unknown key "x" in "child.child"',
    ]);
  });
});
