import { describe, expect, test } from "bun:test";
import { gzipSync } from "node:zlib";
import { type TestChain, testPolicy } from "@policy-engine/testing";
import * as policy from "./policy.ts";

function bodySizeLimit(params: unknown): Promise<TestChain> {
  return testPolicy(policy, { definition: import.meta.url, params });
}

describe("edge: body size limits:", () => {
  const sizes: [size: unknown, bytes: number][] = [
    [0, 0],
    [10, 10],
    ["10", 10],
    ["10B", 10],
    ["1KiB", 1024],
    ["1MiB", 1048576],
  ];
  test.each(sizes)("%p are %d bytes, in both directions", async (size, bytes) => {
    await using chain = await bodySizeLimit({ request: size, response: size });
    const [fits, over] = [new Uint8Array(bytes), new Uint8Array(bytes + 1)];
    const exchange = await chain.request({ method: "POST", body: fits });
    expect([exchange.outcome, exchange.body.length, exchange.changes]).toEqual(["passed", bytes, {}]);
    expect((await chain.request({ method: "POST", body: over })).answer).toMatchObject({
      status: 413,
      reason: "request_body_too_large",
      body: `The body may have at most ${bytes} bytes`,
    });
    const response = await exchange.response({ body: fits });
    expect([response.outcome, response.body.length]).toEqual(["passed", bytes]);
    expect((await (await chain.request()).response({ body: over })).answer).toMatchObject({
      status: 502,
      reason: "response_body_too_large",
    });
  });

  test("what has no length too, and whatever a header says", async () => {
    await using chain = await bodySizeLimit({ request: 3 });
    const chunked = { "transfer-encoding": "chunked" };
    expect((await chain.request({ headers: chunked, body: "1234" })).answer?.status).toBe(413);
    expect((await chain.request({ headers: { "content-length": "1" }, body: "1234" })).answer?.status).toBe(
      413,
    );
    expect((await chain.request({ headers: chunked, body: "123" })).outcome).toBe("passed");
  });

  test("the bytes that go over the wire", async () => {
    const body = new Uint8Array(gzipSync("a".repeat(5000)));
    const headers = { "content-encoding": "gzip" };
    await using chain = await bodySizeLimit({ request: 1000 });
    expect((await chain.request({ headers, body })).outcome).toBe("passed");
  });

  test("nothing in the direction that has none", async () => {
    await using chain = await bodySizeLimit({ request: 1 });
    const response = await (await chain.request()).response({ body: "long" });
    expect([response.outcome, response.text()]).toEqual(["passed", "long"]);
  });

  test("edge: not the length that a response without body speaks of", async () => {
    await using chain = await bodySizeLimit({ response: 1 });
    const headers = { "content-length": "5000" };
    const head = await (await chain.request({ method: "HEAD" })).response({ headers });
    expect(head.outcome).toBe("passed");
    expect((await (await chain.request()).response({ status: 304, headers })).outcome).toBe("passed");
  });
});

describe("US8: refuses parameters", () => {
  const refused: [string, unknown, string][] = [
    ["none", {}, "at least 1"],
    ["a unit of ten", { request: "10KB" }, "A size is needed"],
    ["a negative size", { request: -1 }, "A size is needed"],
    ["a fraction", { request: "1.5MiB" }, "A size is needed"],
    ["more than there can be", { response: "2GiB" }, 'response is "2GiB", at most 1GiB is needed'],
    ["more bytes than there can be", { response: 2 ** 31 }, "A size is needed"],
  ];
  test.each(refused)("%s", async (_what, params, message) => {
    await expect(bodySizeLimit(params)).rejects.toThrow(message);
  });
});
