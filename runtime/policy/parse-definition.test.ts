import { describe, expect, test } from "bun:test";
import { formatProblem } from "../document/problem.ts";
import { parseYaml, valueDocument } from "../document/yaml-document.ts";
import type { JsonSchema } from "./definition.ts";
import { compileParameters } from "./parameters.ts";
import { checkDefinition, parseDefinition } from "./parse-definition.ts";

const HEAD = "name: test\nversion: v1.0.0\n";

function problemsOf(text: string): string[] {
  return parseDefinition(text, "policy-definition.yaml").problems.map((problem) =>
    formatProblem(problem).replace("policy-definition.yaml:", ""),
  );
}

/** The parameter schema of a definition whose `parameters` are this text, indented by nothing. */
function schemaOf(parameters: string): JsonSchema {
  const { definition, problems } = parseDefinition(`${HEAD}parameters:\n${parameters}`, "f");
  expect(problems).toEqual([]);
  return definition!.parameters;
}

function issuesOf(schema: JsonSchema, raw: unknown): string[] {
  const secrets = { read: () => ({ problem: "no secrets here" }) };
  return compileParameters(schema)
    .parameters!.check(raw, secrets)
    .issues.map(({ message }) => message);
}

describe("FR-031: parseDefinition() reads", () => {
  test("name and version alone, with every default", () => {
    expect(parseDefinition(HEAD, "f")).toEqual({
      problems: [],
      definition: {
        name: "test",
        version: "v1.0.0",
        description: "",
        sdk: undefined,
        supportsRequestPhase: undefined,
        supportsResponsePhase: undefined,
        requiresRequestBody: "none",
        requiresResponseBody: "none",
        failureMode: "closed",
        conditionError: "skip",
        appliesToDenials: false,
        authentication: false,
        parameters: { type: "object", additionalProperties: false, properties: {} },
      },
    });
  });

  test("every key", () => {
    const text = `name: set-header
version: v1.2.3-rc.1
description: Sets headers.
sdk: ^1.0.0
supportsRequestPhase: true
supportsResponsePhase: true
requiresRequestBody: true
requiresResponseBody: raw
failureMode: open
conditionError: deny
appliesToDenials: true
authentication: true
parameters:
  type: object
  additionalProperties: false
  properties:
    apiKey: { type: string, secret: true }
`;
    expect(parseDefinition(text, "f")).toMatchObject({
      problems: [],
      definition: {
        name: "set-header",
        version: "v1.2.3-rc.1",
        description: "Sets headers.",
        sdk: "^1.0.0",
        supportsRequestPhase: true,
        supportsResponsePhase: true,
        requiresRequestBody: "buffered",
        requiresResponseBody: "raw",
        failureMode: "open",
        conditionError: "deny",
        appliesToDenials: true,
        authentication: true,
        parameters: { properties: { apiKey: { type: "string", secret: true } } },
      },
    });
  });

  test("a policy that authenticates: its conditions fail closed, unless it says otherwise", () => {
    const of = (text: string) => parseDefinition(`${HEAD}${text}`, "f").definition?.conditionError;
    expect(of("authentication: true\n")).toBe("deny");
    expect(of("authentication: true\nconditionError: skip\n")).toBe("skip");
    expect(of("authentication: false\n")).toBe("skip");
  });

  test("the definition of the source documents, camelCase name and typed list", () => {
    const { definition, problems } = parseDefinition(
      `name: jwtValidation
version: v1.0.0
description: Validates JWT tokens using JWKS
supportsRequestPhase: true
supportsResponsePhase: false

parameters:
  - name: jwksUrl
    type: uri
    description: URL to fetch JSON Web Key Set
    required: true
`,
      "policy.yaml",
    );
    expect(problems).toEqual([]);
    expect(definition?.parameters).toEqual({
      type: "object",
      additionalProperties: false,
      required: ["jwksUrl"],
      properties: {
        jwksUrl: { type: "string", format: "uri", description: "URL to fetch JSON Web Key Set" },
      },
    });
  });
});

describe("FR-032: parseDefinition() reports", () => {
  test("every kind of mistake at once, sorted, each with its place", () => {
    const text = `name: 1a
version: 1.0
sdk: ^2
foo: 1
failuremode: open
conditionError: ignore
supportsRequestPhase: "yes"
supportsResponsePhase: false
appliesToDenials: true
requiresRequestBody: streamed
requiresResponseBody: buffered
parameters:
  type: object
  properties:
    a: { type: strin }
    b: { type: string, pattern: "(" }
    b: { $ref: "https://example.com/b.json" }
`;
    expect(problemsOf(text)).toEqual([
      '1:7: error: "name" must be a letter, then at most 62 letters, digits or "-" (/name)',
      '2:10: error: "version" must be "v" and a semantic version such as "v1.0.0" (/version)',
      "3:6: error: Cannot use a policy written for SDK ^2: this engine has SDK 1.0.0, which must be in its range (/sdk)",
      `4:1: error: Unknown key "foo" (/foo)
  hint: Known here: appliesToDenials, authentication, conditionError, description, failureMode, name, parameters, requiresRequestBody, requiresResponseBody, sdk, supportsRequestPhase, supportsResponsePhase, version`,
      '5:1: error: Unknown key "failuremode" (/failuremode)\n  hint: Did you mean "failureMode"?',
      '6:17: error: "conditionError" must be "skip" or "deny" (/conditionError)',
      '7:23: error: "supportsRequestPhase" must be true or false, not a string (/supportsRequestPhase)',
      '9:19: error: Cannot use "appliesToDenials" with "supportsResponsePhase: false": denials are responses (/appliesToDenials)',
      `10:22: error: Cannot use "requiresRequestBody: streamed": streamed bodies are not supported by this engine (/requiresRequestBody)
  hint: Use "buffered" or "raw"`,
      '11:23: error: Cannot use "requiresResponseBody" with "supportsResponsePhase: false": that phase is switched off (/requiresResponseBody)',
      '15:16: error: Unknown type "strin" (/parameters/properties/a/type)\n  hint: Did you mean "string"?',
      '16:33: error: Cannot use the pattern "(": missing ) (/parameters/properties/b/pattern)',
      '17:5: error: Duplicate key "b"\n  hint: Keep one of them',
    ]);
  });

  test.each([
    ["", '1:1: error: Cannot use an empty policy definition: "name" and "version" are needed'],
    ["# nothing\n", '1:1: error: Cannot use an empty policy definition: "name" and "version" are needed'],
    ["- a\n", "1:1: error: The value must be a map, not a list"],
    ["description: x\n", '1:1: error: Missing required fields "name", "version"'],
    ["name: a\n", '1:1: error: Missing required field "version"'],
    [`${HEAD}description: [\n`, /^4:1: error: Cannot read this as YAML/],
    [`${HEAD}sdk: nonsense\n`, '3:6: error: "sdk" must be a range of versions such as "^1.0.0" (/sdk)'],
    [`${HEAD}sdk: ""\n`, '3:6: error: "sdk" must not be empty (/sdk)'],
    [`${HEAD}requiresRequestBody: all\n`, /must be "none", "buffered", "raw", "streamed", true or false/],
    [
      `${HEAD}supportsRequestPhase: false\nsupportsResponsePhase: false\n`,
      "3:23: error: A policy must support a phase: both are switched off (/supportsRequestPhase)",
    ],
    [
      `${HEAD}parameters: text\n`,
      '3:13: error: "parameters" must be a JSON Schema of the type object, or a list of parameters (/parameters)',
    ],
    [
      `${HEAD}parameters: { type: array }\n`,
      '3:21: error: "parameters" must have "type: object", because parameters are given by name (/parameters/type)',
    ],
    [
      `${HEAD}parameters: { properties: {} }\n`,
      '3:13: error: "parameters" must have "type: object", because parameters are given by name (/parameters)',
    ],
    [
      `${HEAD}parameters: { type: object, properties: { a: { type: integer, minimum: 3, default: 1 } } }\n`,
      /^3:84: error: Cannot use this default: "a" must be at least 3 \(\/parameters\/properties\/a\/default\)$/,
    ],
  ])("%j", (text, problem) => {
    const found = problemsOf(text);
    expect(found).toHaveLength(1);
    if (typeof problem === "string") expect(found[0]).toBe(problem);
    else expect(found[0]).toMatch(problem);
  });

  test.each(["1a", "a_b", "a b", "-a", "ä", "", `a${"b".repeat(63)}`, "../x"])("the name %j", (name) => {
    expect(problemsOf(`name: ${JSON.stringify(name)}\nversion: v1.0.0\n`).join()).toContain('"name" must be');
  });

  test.each(["a", "jwtValidation", "Set-Header2", `a${"b".repeat(62)}`])("but not the name %j", (name) => {
    expect(problemsOf(`name: ${name}\nversion: v1.0.0\n`)).toEqual([]);
  });

  test.each([
    "1.0.0",
    "v1",
    "v1.0",
    "v1.0.0.0",
    "v01.0.0",
    "v1.0.0+build",
    "v1.0.0-",
    "v9999999999.0.0",
    "V1.0.0",
  ])("the version %j", (version) => {
    expect(problemsOf(`name: a\nversion: "${version}"\n`).join()).toContain('"version" must be');
  });

  test.each(["^1.0.0", "1.x", ">=1.0.0 <2", "~1.0", "*", "1.0.0 || 2.0.0"])(
    "but not the SDK range %j",
    (range) => {
      expect(problemsOf(`${HEAD}sdk: "${range}"\n`)).toEqual([]);
    },
  );

  test("hostile: a definition of the largest size and beyond", () => {
    expect(problemsOf(`${HEAD}#${"x".repeat(1024 * 1024)}`).join()).toContain("at most 1048576 are allowed");
    expect(problemsOf("[".repeat(20_000))).toHaveLength(1);
    expect(problemsOf(`${HEAD}parameters: ${"{a: ".repeat(80)}${"}".repeat(80)}`).join()).toContain(
      "nested deeper",
    );
  });
});

describe("FR-014: the typed list", () => {
  const schema = schemaOf(`
  - { name: text, type: string, required: true, validation: { pattern: "^[a-z]+$", maxLength: 3 } }
  - { name: count, type: int, default: 5, validation: { min: 1, max: 9 } }
  - { name: ratio, type: double, validation: { minimum: 0, maximum: 1 } }
  - { name: on, type: boolean, default: false }
  - { name: url, type: uri, validation: { pattern: "^https://", message: "url must be HTTPS" } }
  - { name: wait, type: duration, default: 1h30m }
  - { name: mode, type: enum, enum: [fast, safe] }
  - { name: hosts, type: array, items: string, validation: { minItems: 1 } }
  - { name: consumers, type: array, items: { type: object, properties: [ { name: key, type: string, secret: true, required: true } ] } }
  - { name: labels, type: map, values: string }
  - { name: free, type: object }
`);
  const good = { text: "abc" };

  test("becomes a schema with defaults that knows no other keys", () => {
    const { params } = compileParameters(schema).parameters!.check(good, { read: () => ({ problem: "" }) });
    expect(params).toEqual({ text: "abc", count: 5, on: false, wait: "1h30m" });
    expect(issuesOf(schema, { ...good, conut: 1 })).toEqual(['Unknown key "conut"']);
  });

  test.each([
    [{}, 'Missing required field "text"'],
    [{ text: "abcd" }, '"text" must have at most 3 characters'],
    [{ text: "AB" }, '"text" must match the pattern ^[a-z]+$'],
    [{ ...good, count: 0 }, '"count" must be at least 1'],
    [{ ...good, count: 1.5 }, '"count" must be a whole number, not a number'],
    [{ ...good, ratio: 2 }, '"ratio" must be at most 1'],
    [{ ...good, on: "yes" }, '"on" must be true or false, not a string'],
    [{ ...good, url: "http://x/" }, "url must be HTTPS"],
    [{ ...good, wait: "soon" }, 'Must be a duration such as "250ms", "30s" or "1h30m"'],
    [{ ...good, mode: "slow" }, '"mode" must be "fast" or "safe"'],
    [{ ...good, hosts: [] }, '"hosts" must not be empty'],
    [{ ...good, hosts: [1] }, '"hosts[0]" must be a string, not a number'],
    [{ ...good, consumers: [{}] }, 'Missing required field "key" in "consumers[0]"'],
    [{ ...good, consumers: [{ key: "a", x: 1 }] }, 'Unknown key "x" in "consumers[0]"'],
    [{ ...good, labels: { a: 1 } }, '"labels.a" must be a string, not a number'],
    [{ ...good, free: [] }, '"free" must be a map, not a list'],
  ])("%j", (raw, message) => {
    expect(issuesOf(schema, raw)).toEqual([message]);
  });

  test("takes what is right", () => {
    const raw = {
      ...good,
      hosts: ["a"],
      labels: { a: "b" },
      free: { x: [1] },
      wait: "250ms",
      mode: "safe",
      consumers: [{ key: "k" }],
    };
    expect(issuesOf(schema, raw)).toEqual([]);
    expect(compileParameters(schema).parameters!.redact(raw)).toMatchObject({
      consumers: [{ key: "[redacted]" }],
    });
  });

  test("with mistakes, all at once, each at its place", () => {
    const text = `${HEAD}parameters:
  - { name: a, type: strin }
  - { name: a, type: string }
  - { type: string }
  - { name: b }
  - 3
  - { name: c, type: enum }
  - { name: d, type: int, validation: { mn: 1 }, requird: true }
  - { name: e, type: string, items: string }
  - { name: f, type: array, items: { type: nope } }
  - { name: g, type: string, required: maybe }
`;
    expect(problemsOf(text)).toEqual([
      '4:22: error: Unknown type "strin" (/parameters/0/type)\n  hint: Did you mean "string"?',
      '5:13: error: Duplicate parameter "a" (/parameters/1/name)',
      '6:5: error: A parameter must have a "name" (/parameters/2/name)',
      `7:5: error: A "type" is needed (/parameters/3/type)
  hint: Known here: string, int, integer, number, double, boolean, uri, duration, enum, array, map, object`,
      '8:5: error: A parameter must be a map with "name" and "type" (/parameters/4)',
      '9:5: error: The type enum needs "enum", a list of its values (/parameters/5/enum)',
      '10:41: error: Unknown key "mn" of "validation" (/parameters/6/validation/mn)\n  hint: Did you mean "min"?',
      '10:50: error: Unknown key "requird" of a parameter (/parameters/6/requird)\n  hint: Did you mean "required"?',
      '11:30: error: "items" is for the type array (/parameters/7/items)',
      expect.stringMatching(/^12:44: error: Unknown type "nope" \(\/parameters\/8\/items\/type\)/),
      '13:40: error: "required" must be true or false (/parameters/9/required)',
    ]);
  });

  test("a fault in what a parameter says stands at that parameter", () => {
    const text = `${HEAD}parameters:
  - { name: a/b, type: string }
  - { name: c/d, type: string, validation: { pattern: "[" } }
  - { name: s, type: int, secret: true }
`;
    expect(problemsOf(text)).toEqual([
      expect.stringMatching(/^5:5: error: Cannot use the pattern "\["/),
      '6:5: error: A secret must have "type: string" beside it (/parameters/2)',
    ]);
    const range = "  - { name: n, type: int, default: 0, validation: { min: 1 } }\n";
    expect(problemsOf(`${HEAD}parameters:\n${range}`)).toEqual([
      '4:5: error: Cannot use this default: "n" must be at least 1 (/parameters/0)',
    ]);
  });
});

describe("FR-031: checkDefinition() says of what the builder embeds what parseDefinition() says of the file", () => {
  const TEXTS = [
    HEAD,
    `${HEAD}requiresRequestBody: true\nparameters:\n  type: object\n  properties: { a: { type: integer, default: 3 } }\n`,
    `${HEAD}parameters: &all\n  - { name: a, type: string, default: "x\\u2028" }\n`,
    "name: 1\nversion: v1\nfailureMode: ajar\nother: 2\n",
    `${HEAD}requiresRequestBody: streamed\nsupportsRequestPhase: false\nsupportsResponsePhase: false\n`,
    `${HEAD}parameters:\n  type: object\n  properties: { a: { type: string, default: 3 } }\n`,
    "- 1\n",
    "null\n",
  ];
  for (const text of TEXTS) {
    test(JSON.stringify(text), () => {
      const fromFile = parseDefinition(text, "f");
      const embedded = checkDefinition(
        valueDocument(JSON.parse(JSON.stringify(parseYaml(text, "f").value)), "f"),
      );
      expect(embedded.definition).toEqual(fromFile.definition);
      const messages = ({ problems }: typeof embedded) => problems.map(({ message }) => message).sort();
      expect(messages(embedded)).toEqual(messages(fromFile));
    });
  }
});
