import { describe, expect, test } from "bun:test";
import { gzipSync } from "node:zlib";
import { type TestChain, testPolicy } from "@policy-engine/testing";
import * as policy from "./policy.ts";

function uppercase(params: unknown = {}): Promise<TestChain> {
  return testPolicy(policy, { definition: import.meta.url, params });
}

describe("FR-020, FR-023: writes JSON string values in upper case", () => {
  const bodies: [json: string, expected: string][] = [
    ['{"name":"ann"}', '{"name":"ANN"}'],
    ['{"a":{"b":["c",{"d":"e"}]},"f":null}', '{"a":{"b":["C",{"d":"E"}]},"f":null}'],
    ['"text"', '"TEXT"'],
    ['{ "a" : "b" ,\n\t"c" :\n"d" }', '{ "a" : "B" ,\n\t"c" :\n"D" }'],
    [
      '{"n":1.0,"big":12345678901234567890,"e":1E2,"z":-0}',
      '{"n":1.0,"big":12345678901234567890,"e":1E2,"z":-0}',
    ],
    ['["line\\nbreak","quote\\"d","back\\\\"]', '["LINE\\nBREAK","QUOTE\\"D","BACK\\\\"]'],
    ['["\\u00e9","é","straße"]', '["É","É","STRASSE"]'],
    ['["\\ud800x"]', '["\\ud800X"]'],
    ['{"a:b":"c:d","x\\"y":"z"}', '{"a:b":"C:D","x\\"y":"Z"}'],
    ['{"__proto__":"x","a":"1","a":"b"}', '{"__proto__":"X","a":"1","a":"B"}'],
    ["{}", "{}"],
    ["true", "true"],
  ];
  test.each(bodies)("%s", async (json, expected) => {
    await using chain = await uppercase({ directions: ["request", "response"] });
    const headers = { "content-type": "application/json" };
    const exchange = await chain.request({ method: "POST", headers, body: json });
    expect(exchange.text()).toBe(expected);
    expect(exchange.headers.get("content-length")).toBe(String(Buffer.byteLength(expected)));
    const problem = { "content-type": "Application/Problem+JSON; charset=UTF-8" };
    const response = await exchange.response({ headers: problem, body: json });
    expect(response.text()).toBe(expected);
  });
});

test("writes a text in upper case, decoded if it came compressed", async () => {
  await using chain = await uppercase();
  const headers = { "content-type": 'text/plain; charset="utf-8"', "content-encoding": "gzip" };
  const exchange = await chain.request({ headers, body: new Uint8Array(gzipSync("grüß dich")) });
  expect(new TextDecoder().decode(exchange.body)).toBe("GRÜSS DICH");
  expect(exchange.changes).toEqual({ "content-encoding": null, "content-length": ["11"] });
});

describe("leaves alone", () => {
  const untouched: [string, string | undefined, string | Uint8Array][] = [
    ["another type", "application/octet-stream", '{"a":"b"}'],
    ["no type", undefined, "abc"],
    ["another character set", "text/plain; charset=iso-8859-1", "abc"],
    ["JSON lines, which are not JSON", "application/x-ndjson", '{"a":"b"}\n{"a":"c"}'],
    ["bytes that are not UTF-8", "text/plain", new Uint8Array([0x61, 0xff, 0x00])],
    ["an empty body", "application/json", ""],
    ["what is in upper case already", "text/plain", "ABC 123"],
  ];
  test.each(untouched)("%s", async (_what, type, body) => {
    await using chain = await uppercase({ directions: ["request", "response"] });
    const headers = type === undefined ? {} : { "content-type": type };
    const exchange = await chain.request({ method: "POST", headers, body });
    expect([exchange.outcome, exchange.changes]).toEqual(["passed", {}]);
    expect(Buffer.from(exchange.body)).toEqual(Buffer.from(body));
    const response = await exchange.response({ headers, body });
    expect([response.outcome, response.changes]).toEqual(["passed", {}]);
    expect(Buffer.from(response.body)).toEqual(Buffer.from(body));
  });

  test("the direction that is not named", async () => {
    await using chain = await uppercase({ directions: ["response"] });
    const exchange = await chain.request({ body: { a: "b" } });
    expect(exchange.json()).toEqual({ a: "b" });
    expect((await exchange.response({ body: { a: "b" } })).json()).toEqual({ a: "B" });
  });

  test("edge: a response that has no body", async () => {
    await using chain = await uppercase({ directions: ["response"] });
    const headers = { "content-type": "text/plain", "content-length": "5" };
    const response = await (await chain.request({ method: "HEAD" })).response({ headers });
    expect([response.text(), response.changes]).toEqual(["", {}]);
  });
});

test("refuses what says that it is JSON and is not", async () => {
  const headers = { "content-type": "application/json" };
  await using chain = await uppercase({ directions: ["request", "response"] });
  for (const body of ["{", "a", "[".repeat(65) + "]".repeat(65), '{"a":"b"} x']) {
    const { answer } = await chain.request({ headers, body });
    expect(answer).toMatchObject({ status: 400, reason: "not_json" });
    const response = await (await chain.request()).response({ headers, body });
    expect(response.answer).toMatchObject({ status: 502, reason: "not_json" });
  }
});

test("US8: refuses parameters", async () => {
  for (const directions of [[], ["upstream"], ["request", "request"], "request"])
    await expect(uppercase({ directions })).rejects.toThrow("directions");
});
