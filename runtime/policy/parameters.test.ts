import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { JsonSchema } from "./definition.ts";
import { compileParameters, createSecretReader, type Parameters, type SecretReader } from "./parameters.ts";

let folder: string;
let secrets: SecretReader;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "parameters-"));
  await writeFile(join(folder, "key"), "from-file\n");
  await writeFile(join(folder, "crlf"), "from-file\r\n");
  await writeFile(join(folder, "two-lines"), "a\nb\n\n");
  await writeFile(join(folder, "empty"), "\n");
  await writeFile(join(folder, "largest"), "x".repeat(64 * 1024));
  await writeFile(join(folder, "too-large"), "x".repeat(64 * 1024 + 1));
  await writeFile(join(folder, "binary"), new Uint8Array([0xff, 0xfe]));
  secrets = createSecretReader({ baseDir: folder, env: { API_KEY: "from-env", EMPTY: "" } });
});

afterAll(() => rm(folder, { recursive: true }));

function parameters(schema: JsonSchema): Parameters {
  const result = compileParameters(schema);
  expect(result.problems).toEqual([]);
  return result.parameters!;
}

function object(properties: JsonSchema, required: readonly string[] = []): JsonSchema {
  return { type: "object", additionalProperties: false, required, properties };
}

function issuesOf(schema: JsonSchema, raw: unknown): string[] {
  return parameters(schema)
    .check(raw, secrets)
    .issues.map(({ pointer, message }) => `${pointer} ${message}`);
}

describe("US8: parameters are checked against the policy's schema", () => {
  const jwksUrl = {
    type: "string",
    format: "uri",
    pattern: "^https://",
    errorMessage: "jwksUrl must be HTTPS",
  };

  test("US8.1: a jwksUrl that is not HTTPS", () => {
    expect(issuesOf(object({ jwksUrl }), { jwksUrl: "http://example.com/keys" })).toEqual([
      "/jwksUrl jwksUrl must be HTTPS",
    ]);
  });

  test("US8.2: a negative number where a positive one is needed is a range error", () => {
    const schema = object({ requestsPerSecond: { type: "integer", minimum: 1, maximum: 10_000 } });
    expect(issuesOf(schema, { requestsPerSecond: -5 })).toEqual([
      '/requestsPerSecond "requestsPerSecond" must be at least 1',
    ]);
    expect(issuesOf(schema, { requestsPerSecond: 10_001 })).toEqual([
      '/requestsPerSecond "requestsPerSecond" must be at most 10000',
    ]);
  });

  test("US8.3: a value that does not match the pattern", () => {
    const schema = object({ name: { type: "string", pattern: "^[A-Za-z0-9-]+$" } });
    expect(issuesOf(schema, { name: "not a name" })).toEqual([
      '/name "name" must match the pattern ^[A-Za-z0-9-]+$',
    ]);
  });

  test("US8.4: every missing required parameter is listed", () => {
    const schema = object({ a: {}, b: {}, c: {} }, ["a", "b", "c"]);
    expect(issuesOf(schema, { b: 1 })).toEqual([' Missing required fields "a", "c"']);
  });

  test("US8.5: valid parameters are handed over with defaults, frozen to the bottom", () => {
    const schema = object({ jwksUrl, ttl: { type: "integer", default: 60 }, list: { type: "array" } });
    const raw = { jwksUrl: "https://example.com/keys", list: [{ a: [1] }] };
    const { params, issues } = parameters(schema).check(raw, secrets);
    expect(issues).toEqual([]);
    expect(params).toEqual({ jwksUrl: "https://example.com/keys", ttl: 60, list: [{ a: [1] }] });
    const { list } = params as { list: [{ a: number[] }] };
    for (const part of [params, list, list[0], list[0].a]) expect(Object.isFrozen(part)).toBe(true);
    expect(Object.isFrozen(raw)).toBe(false);
    expect(Object.isFrozen(raw.list)).toBe(false);
  });

  test("FR-012: all faults at once", () => {
    const schema = object({ jwksUrl, n: { type: "integer" } }, ["n"]);
    expect(issuesOf(schema, { jwksUrl: "x", m: 1 })).toEqual([
      ' Missing required field "n"',
      '/m Unknown key "m"',
      "/jwksUrl jwksUrl must be HTTPS",
    ]);
  });

  test("FR-014: no parameters are an empty map, which may lack required ones", () => {
    const schema = object({ a: { default: 1 } });
    for (const raw of [undefined, null, {}]) {
      expect(parameters(schema).check(raw, secrets).params).toEqual({ a: 1 });
    }
    expect(issuesOf(object({ a: {} }, ["a"]), undefined)).toEqual([' Missing required field "a"']);
    expect(issuesOf(schema, [])).toEqual([" The value must be a map, not a list"]);
  });

  test("a schema with faults is refused", () => {
    const { parameters: none, problems } = compileParameters({ type: "objekt" });
    expect(none).toBeUndefined();
    expect(problems).toEqual(['/type: Unknown type "objekt"']);
  });
});

const SECRET = { type: "string", secret: true } as const;

describe("secrets", () => {
  test.each([
    ["plain", "plain"],
    [{ fromFile: "key" }, "from-file"],
    [{ fromFile: "crlf" }, "from-file"],
    [{ fromFile: "two-lines" }, "a\nb\n"],
    [{ fromEnv: "API_KEY" }, "from-env"],
  ])("%j becomes its text", (raw, text) => {
    const { params } = parameters(object({ key: SECRET })).check({ key: raw }, secrets);
    expect(params).toEqual({ key: text });
  });

  test("an absolute path, and a file of the largest size", () => {
    const key = { fromFile: join(folder, "largest") };
    expect(parameters(object({ key: SECRET })).check({ key }, secrets).params).toEqual({
      key: "x".repeat(64 * 1024),
    });
  });

  test.each([
    [{ fromFile: "none" }, /Cannot read secret file ".*none": it does not exist$/],
    [{ fromFile: "too-large" }, /it has more than 65536 bytes$/],
    [{ fromFile: "binary" }, /it is not UTF-8 text$/],
    [{ fromFile: "empty" }, /it is empty$/],
    [{ fromFile: "." }, /it is not a regular file$/],
    [{ fromFile: "/dev/zero" }, /it is not a regular file$/],
    [{ fromEnv: "NONE" }, /Cannot read environment variable "NONE": it is not set$/],
    [{ fromEnv: "EMPTY" }, /it is empty$/],
    [{ fromEnv: "toString" }, /it is not set$/],
    [
      { fromFile: "key", fromEnv: "API_KEY" },
      /a string, \{ fromFile: PATH \} or \{ fromEnv: NAME \} is needed$/,
    ],
    [{ fromFile: 3 }, /is needed$/],
    [{ fromFile: "a\0b" }, /is needed$/],
    [{ fromfile: "key" }, /is needed$/],
    [{}, /is needed$/],
    [3, /must be a string, not a number$/],
  ])("%j is one issue at its place", (raw, message) => {
    const { issues, params } = parameters(object({ key: SECRET })).check({ key: raw }, secrets);
    expect(params).toBeUndefined();
    expect(issues).toHaveLength(1);
    expect(issues[0]).toMatchObject({ pointer: "/key", message: expect.stringMatching(message) });
  });

  test("a reference is only one where a secret is wanted", () => {
    const schema = object({ key: { type: "object" }, name: { type: "string" } });
    expect(parameters(schema).check({ key: { fromEnv: "API_KEY" } }, secrets).params).toEqual({
      key: { fromEnv: "API_KEY" },
    });
    expect(issuesOf(schema, { name: { fromEnv: "API_KEY" } })).toEqual([
      '/name "name" must be a string, not a map',
    ]);
  });

  test("a secret that fails its check is not told", () => {
    const key = { ...SECRET, pattern: "^[A-Z]+$", minLength: 40, format: "uuid" };
    for (const raw of ["hunter2", { fromFile: "key" }, { fromEnv: "API_KEY" }]) {
      const { issues } = parameters(object({ key })).check({ key: raw }, secrets);
      expect(issues).toHaveLength(3);
      expect(JSON.stringify(issues)).not.toMatch(/hunter2|from-file|from-env/);
    }
  });

  test("a missing required secret is missing, not unreadable", () => {
    expect(issuesOf(object({ key: SECRET }, ["key"]), {})).toEqual([' Missing required field "key"']);
  });
});

describe("secrets anywhere in a schema", () => {
  const schema: JsonSchema = {
    ...object({
      list: { type: "array", items: { $ref: "#/$defs/consumer" } },
      map: { type: "object", additionalProperties: SECRET },
      byPattern: {
        type: "object",
        patternProperties: { "^k-": SECRET },
        additionalProperties: { type: "string" },
      },
      pair: { type: "array", prefixItems: [{ type: "string" }, SECRET] },
      either: { anyOf: [SECRET, { type: "array", items: SECRET }] },
      all: { allOf: [SECRET, { minLength: 1 }] },
      open: { type: "string" },
    }),
    $defs: { consumer: object({ id: { type: "string" }, key: SECRET }) },
  };
  const raw = {
    list: [
      { id: "a", key: { fromEnv: "API_KEY" } },
      { id: "b", key: "hunter2" },
    ],
    map: { x: { fromFile: "key" }, y: "hunter2" },
    byPattern: { "k-1": "hunter2", other: "seen" },
    pair: ["seen", "hunter2"],
    either: ["hunter2", { fromEnv: "API_KEY" }],
    all: "hunter2",
    open: "seen",
  };

  test("are resolved", () => {
    const { params, issues } = parameters(schema).check(raw, secrets);
    expect(issues).toEqual([]);
    expect(params).toEqual({
      list: [
        { id: "a", key: "from-env" },
        { id: "b", key: "hunter2" },
      ],
      map: { x: "from-file", y: "hunter2" },
      byPattern: { "k-1": "hunter2", other: "seen" },
      pair: ["seen", "hunter2"],
      either: ["hunter2", "from-env"],
      all: "hunter2",
      open: "seen",
    });
    expect(parameters(schema).secretsIn(params).sort()).toEqual(["from-env", "from-file", "hunter2"]);
  });

  test("are redacted", () => {
    expect(parameters(schema).redact(raw)).toEqual({
      list: [
        { id: "a", key: "[redacted]" },
        { id: "b", key: "[redacted]" },
      ],
      map: { x: "[redacted]", y: "[redacted]" },
      byPattern: { "k-1": "[redacted]", other: "seen" },
      pair: ["seen", "[redacted]"],
      either: ["[redacted]", "[redacted]"],
      all: "[redacted]",
      open: "seen",
    });
    expect(raw.map.y).toBe("hunter2");
  });

  test("are redacted in values that are not valid, and under mistyped keys", () => {
    const shown = parameters(schema).redact({
      map: { x: { deeper: "hunter2" } },
      lisst: [{ key: "hunter2" }],
      either: { key: "hunter2" },
      all: ["hunter2"],
      open: 3,
    });
    expect(shown).toEqual({
      map: { x: "[redacted]" },
      lisst: "[redacted]",
      either: "[redacted]",
      all: ["[redacted]"],
      open: 3,
    });
  });

  test("a schema without secrets shows everything", () => {
    expect(parameters(object({ a: {} })).redact({ a: 1, b: [2] })).toEqual({ a: 1, b: [2] });
    expect(parameters(object({ a: {} })).redact(undefined)).toEqual({});
  });
});
