import { describe, expect, test } from "bun:test";
import { type PolicyFactory, type RequestResult, type ResponseResult, respond } from "@policy-engine/sdk";
import { type TestChain, testChain, testPolicy } from "@policy-engine/testing";
import * as policy from "./policy.ts";

const definition = import.meta.url;
const UUID_V4 = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
const UUID_V7 = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

function requestId(params: object = {}): Promise<TestChain> {
  return testPolicy(policy, { definition, params });
}

describe("an id that came with the request", () => {
  test("of Envoy is kept, told to later policies and to the client", async () => {
    await using chain = await requestId();
    const exchange = await chain.request({ headers: { "x-request-id": "from-envoy" } });
    expect(exchange.changes).toEqual({});
    expect(exchange.metadata.get("requestId")).toBe("from-envoy");
    const response = await exchange.response({ headers: { "x-request-id": "of-the-upstream" } });
    expect(response.headers.getAll("x-request-id")).toEqual(["from-envoy"]);
  });

  test("in another header is kept only where it is trusted", async () => {
    const headers = { "x-correlation-id": "of-the-client" };
    await using trusting = await requestId({ header: "X-Correlation-ID", trustIncoming: true });
    expect((await trusting.request({ headers })).changes).toEqual({});
    await using careful = await requestId({ header: "X-Correlation-ID" });
    const { changes, metadata } = await careful.request({ headers });
    expect(changes["x-correlation-id"]).toEqual([expect.stringMatching(UUID_V4)]);
    expect(changes["x-correlation-id"]).toEqual([metadata.get("requestId") as string]);
  });

  test("x-request-id is replaced where it is not trusted", async () => {
    await using chain = await requestId({ trustIncoming: false });
    const { headers } = await chain.request({ headers: { "x-request-id": "forged" } });
    expect(headers.get("x-request-id")).toMatch(UUID_V4);
  });

  test.each([
    ["is empty", ""],
    ["is too long", "a".repeat(129)],
    ["has a blank", "a b"],
    ["has a tab", "a\tb"],
    ["has a comma", "a,b"],
    ["has other letters", "é"],
    ["begins with a sign", "-a"],
    ["is HTML", "<script>"],
    ["stands there twice", ["a", "b"]],
  ])("that %s is replaced", async (_what, value) => {
    await using chain = await requestId();
    const exchange = await chain.request({ headers: { "x-request-id": value } });
    expect(exchange.headers.getAll("x-request-id")).toEqual([expect.stringMatching(UUID_V4)]);
    const id = exchange.headers.get("x-request-id")!;
    expect((await exchange.response()).headers.getAll("x-request-id")).toEqual([id]);
  });

  test("may be as long as 128 characters, of many kinds", async () => {
    await using chain = await requestId();
    for (const id of ["a".repeat(128), "Root=1-67891233-abcdef:0/x+y=_~@.z", "0"])
      expect((await chain.request({ headers: { "x-request-id": id } })).changes).toEqual({});
  });
});

describe("a new id", () => {
  test("is another for each request", async () => {
    await using chain = await requestId();
    const ids = new Set<unknown>();
    for (let i = 0; i < 100; i++) ids.add((await chain.request()).metadata.get("requestId"));
    expect(ids.size).toBe(100);
  });

  test("sorts by time as uuidv7", async () => {
    await using chain = await requestId({ generator: "uuidv7" });
    const ids: string[] = [];
    for (let i = 0; i < 100; i++) ids.push((await chain.request()).headers.get("x-request-id")!);
    for (const id of ids) expect(id).toMatch(UUID_V7);
    expect(ids).toEqual(ids.toSorted());
    expect(Math.abs(Number.parseInt(ids[0]!.replaceAll("-", "").slice(0, 12), 16) - Date.now())).toBeLessThan(
      60_000,
    );
  });
});

describe("the response", () => {
  const deny: PolicyFactory = () => ({ onRequest: (): RequestResult => respond(401) });
  const subject = { policy, definition, params: {} };

  test("of a denial behind this policy has the id", async () => {
    await using chain = await testChain([subject, { policy: deny }]);
    const { answer, metadata } = await chain.request();
    expect(answer?.status).toBe(401);
    expect(answer?.headers.get("x-request-id")).toBe(metadata.get("requestId") as string);
  });

  test("of a denial in front of this policy has the id that came, or a new one", async () => {
    await using chain = await testChain([{ policy: deny }, subject]);
    const kept = await chain.request({ headers: { "x-request-id": "from-envoy" } });
    expect(kept.answer?.headers.get("x-request-id")).toBe("from-envoy");
    const made = await chain.request({ headers: { "x-request-id": "not valid" } });
    expect(made.answer?.headers.get("x-request-id")).toMatch(UUID_V4);
  });

  test("does not carry what another policy put in the id's place, if that is none", async () => {
    const spoil: PolicyFactory = () => ({
      onRequest(ctx): RequestResult {
        ctx.metadata.set("requestId", { not: "an id" });
      },
      onResponse: (): ResponseResult => undefined,
    });
    await using chain = await testChain([subject, { policy: spoil }]);
    const exchange = await chain.request({ headers: { "x-request-id": "from-envoy" } });
    expect((await exchange.response()).headers.get("x-request-id")).toBe("from-envoy");
  });

  test("edge: of two such policies each has its own id", async () => {
    const other = { ...subject, params: { header: "x-correlation-id" } };
    await using chain = await testChain([subject, other]);
    const exchange = await chain.request({ headers: { "x-request-id": "from-envoy" } });
    const made = exchange.headers.get("x-correlation-id")!;
    expect(exchange.metadata.get("requestId")).toBe(made);
    const { headers } = await exchange.response();
    expect([headers.get("x-request-id"), headers.get("x-correlation-id")]).toEqual(["from-envoy", made]);
  });

  test("edge: does not carry the operator's metadata of that name", async () => {
    await using chain = await testChain([{ policy: deny }, subject], { metadata: { requestId: "operator" } });
    const { answer } = await chain.request({ headers: { "x-request-id": "from-envoy" } });
    expect(answer?.headers.get("x-request-id")).toBe("from-envoy");
  });

  test("is left alone with echo: false", async () => {
    await using chain = await requestId({ echo: false });
    const exchange = await chain.request({ headers: { "x-request-id": "from-envoy" } });
    expect((await exchange.response({ headers: { "x-request-id": "own" } })).changes).toEqual({});
  });
});

describe("US8: refuses parameters", () => {
  test.each([
    ["a pseudo-header", { header: ":path" }, "A header name is needed"],
    ["host in any case", { header: "HOST" }, "A header name is needed"],
    ["a name with a line feed", { header: "x\n" }, "A header name is needed"],
    ["another generator", { generator: "ulid" }, "/generator"],
    ["trust that is no boolean", { trustIncoming: "yes" }, "/trustIncoming"],
    ["an unknown one", { name: "x" }, "name"],
  ])("%s", async (_what, params, message) => {
    await expect(requestId(params)).rejects.toThrow(message);
  });
});
