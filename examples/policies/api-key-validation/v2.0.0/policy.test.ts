import { describe, expect, test } from "bun:test";
import type { RequestResult, ResponseResult } from "@policy-engine/sdk";
import { type TestChain, testChain, testPolicy } from "@policy-engine/testing";
import * as policy from "./policy.ts";

const definition = import.meta.url;
const PARAMS = {
  consumers: [
    { id: "acme", keys: ["acme-key-1", "acme-key-2"], attributes: { tier: "gold", region: "eu" } },
    { id: "globex", keys: ["globex-key-1"], attributes: { tier: "bronze" } },
    { id: "initech", keys: ["initech-key-1"] },
  ],
  attributeHeaders: { "X-Consumer-Tier": "tier", "x-consumer-region": "region" },
};

function apiKeys(params: object = {}): Promise<TestChain> {
  return testPolicy(policy, { definition, params: { ...PARAMS, ...params } });
}

describe("US3.2: says whose key it is", () => {
  const consumers: [key: string, subject: string, claims: Record<string, string>][] = [
    ["acme-key-1", "acme", { tier: "gold", region: "eu" }],
    ["acme-key-2", "acme", { tier: "gold", region: "eu" }],
    ["globex-key-1", "globex", { tier: "bronze" }],
    ["initech-key-1", "initech", {}],
  ];
  test.each(consumers)("%s in metadata and headers", async (key, subject, claims) => {
    await using chain = await apiKeys();
    const exchange = await chain.request({ headers: { "x-api-key": key } });
    expect(exchange.outcome).toBe("passed");
    expect(exchange.metadata.get("auth")).toEqual({ subject, scheme: "api-key", claims });
    expect(exchange.changes).toEqual({
      "x-api-key": null,
      "x-consumer-id": [subject],
      ...(claims.tier && { "x-consumer-tier": [claims.tier] }),
      ...(claims.region && { "x-consumer-region": [claims.region] }),
    });
  });
});

test("a client's own copies of the headers never reach the upstream", async () => {
  await using chain = await apiKeys();
  const forged = {
    "X-Consumer-Id": ["root", "admin"],
    "x-consumer-tier": "platinum",
    "x-consumer-region": "mars",
  };
  const globex = await chain.request({ headers: { "x-api-key": "globex-key-1", ...forged } });
  expect([...globex.headers.entries()].sort()).toEqual([
    ["x-consumer-id", "globex"],
    ["x-consumer-tier", "bronze"],
  ]);
  const initech = await chain.request({ headers: { "x-api-key": "initech-key-1", ...forged } });
  expect([...initech.headers.entries()]).toEqual([["x-consumer-id", "initech"]]);
});

test("US7.1: later policies read who it is, in both phases", async () => {
  const quota = () => ({
    onRequest: (ctx: { metadata: Map<string, unknown> }): RequestResult => ({
      setHeaders: { "x-quota-of": JSON.stringify(ctx.metadata.get("auth")) },
    }),
    onResponse: (ctx: { metadata: Map<string, unknown> }): ResponseResult => ({
      setHeaders: { "x-quota-of": JSON.stringify(ctx.metadata.get("auth")) },
    }),
  });
  await using chain = await testChain([{ policy, definition, params: PARAMS }, { policy: quota }]);
  const exchange = await chain.request({ headers: { "x-api-key": "globex-key-1" } });
  const expected = { subject: "globex", scheme: "api-key", claims: { tier: "bronze" } };
  expect(JSON.parse(exchange.headers.get("x-quota-of")!)).toEqual(expected);
  const response = await exchange.response();
  expect(JSON.parse(response.headers.get("x-quota-of")!)).toEqual(expected);
});

test("what requests share cannot be changed by one of them", async () => {
  await using chain = await apiKeys();
  const { metadata } = await chain.request({ headers: { "x-api-key": "acme-key-1" } });
  const auth = metadata.get("auth") as { subject: string; claims: Record<string, string> };
  expect(() => {
    auth.subject = "root";
  }).toThrow(TypeError);
  expect(() => {
    auth.claims.tier = "platinum";
  }).toThrow(TypeError);
});

test("FR-049: refuses a missing and a wrong key, and leaves nothing in the metadata", async () => {
  await using chain = await apiKeys();
  const missing = await chain.request({ headers: { "x-consumer-id": "acme" } });
  expect(missing.answer).toMatchObject({ status: 401, reason: "api_key_missing" });
  const wrong = await chain.request({ headers: { "x-api-key": "acme-key-3" } });
  expect(wrong.answer).toMatchObject({ status: 403, reason: "api_key_invalid" });
  const two = await chain.request({ headers: { "x-api-key": ["acme-key-1", "globex-key-1"] } });
  expect(two.answer).toMatchObject({ status: 403, reason: "api_key_invalid" });
  for (const { metadata } of [missing, wrong, two]) expect(metadata.has("auth")).toBe(false);
});

test("an attribute with the name of an object's method is only an attribute", async () => {
  await using chain = await apiKeys({ attributeHeaders: { "x-a": "constructor", "x-b": "toString" } });
  expect((await chain.request({ headers: { "x-api-key": "initech-key-1" } })).changes).toEqual({
    "x-api-key": null,
    "x-consumer-id": ["initech"],
  });
});

test("in: query takes the key out of the query", async () => {
  await using chain = await apiKeys({ in: "query", name: "key" });
  const exchange = await chain.request({ path: "/orders?key=initech-key-1&a=1" });
  expect(exchange.changes).toEqual({ ":path": ["/orders?a=1"], "x-consumer-id": ["initech"] });
});

test("keepCredential leaves the key where it is", async () => {
  await using header = await apiKeys({ keepCredential: true });
  const kept = await header.request({ headers: { "x-api-key": "initech-key-1" } });
  expect(kept.changes).toEqual({ "x-consumer-id": ["initech"] });
  await using query = await apiKeys({ keepCredential: true, in: "query", name: "key" });
  expect((await query.request({ path: "/a?key=initech-key-1" })).changes).toEqual({
    "x-consumer-id": ["initech"],
  });
});

describe("US8: refuses parameters", () => {
  const [acme] = PARAMS.consumers;
  const refused: [string, object, string][] = [
    ["no consumers", { consumers: [] }, "/consumers"],
    ["a consumer without keys", { consumers: [{ id: "acme" }] }, "keys"],
    ["a consumer without id", { consumers: [{ keys: ["acme-key-1"] }] }, "id"],
    ["an id with a blank", { consumers: [{ ...acme, id: "a b" }] }, "/consumers/0/id"],
    ["an id twice", { consumers: [acme, { id: "acme", keys: ["other-key"] }] }, 'consumers[1].id is "acme"'],
    [
      "a key twice",
      { consumers: [acme, { id: "b", keys: ["acme-key-2"] }] },
      "consumers[1].keys[0] is a key",
    ],
    [
      "an attribute that is no text",
      { consumers: [{ ...acme, attributes: { a: 1 } }] },
      "/consumers/0/attributes/a",
    ],
    [
      "an attribute with a line feed",
      { consumers: [{ ...acme, attributes: { a: "1\n" } }] },
      "without control",
    ],
    [
      "one header for two purposes",
      { attributeHeaders: { "X-Consumer-ID": "tier" } },
      '"x-consumer-id" is named for two',
    ],
    ["the key's header for another purpose", { subjectHeader: "X-Api-Key" }, '"x-api-key" is named for two'],
    [
      "a header that cannot be set",
      { subjectHeader: "Host" },
      '"host" is a header that a policy cannot change',
    ],
    ["a header that is none", { attributeHeaders: { "x tier": "tier" } }, "a header name can have"],
    ["v1's parameters", { keys: ["a-key-of-v1"] }, "keys"],
  ];
  test.each(refused)("%s", async (_what, params, message) => {
    await expect(apiKeys(params)).rejects.toThrow(message);
  });

  test("and never quotes a key", async () => {
    const consumers = [
      { id: "a", keys: ["a secret", "a-secret-key"] },
      { id: "b", keys: ["a-secret-key"] },
    ];
    const error = await apiKeys({ consumers }).catch((cause: unknown) => cause);
    expect(error).toBeInstanceOf(Error);
    for (const secret of ["a secret", "a-secret-key"]) expect(String(error)).not.toContain(secret);
  });
});
