import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { BUILD_TIMEOUT_MS } from "../helpers/build.ts";
import type { PolicySpec } from "../helpers/engine.ts";
import { type Stack, startStack } from "../helpers/stack.ts";

const tag = (label: string, version = "v1.0.0"): PolicySpec => ({
  name: "tag",
  version,
  parameters: { label },
});
const tagResponse = (label: string): PolicySpec => ({ name: "tag-response", parameters: { label } });
const observe: PolicySpec = { name: "observe" };
const deny = (parameters: object): PolicySpec => ({ name: "deny", parameters: { ...parameters } });

let stack: Stack;

beforeAll(async () => {
  stack = await startStack({
    config: { metadata: { environment: "staging" } },
    routes: [
      {
        route: "order",
        policies: [tag("1"), tagResponse("a"), tag("2", "v2.0.0"), tagResponse("b"), tag("3")],
      },
      {
        route: "reversed",
        responseOrder: "reversed",
        policies: [tagResponse("a"), tag("1"), tagResponse("b")],
      },
      { route: "disabled", policies: [tag("1"), { ...tag("2"), enabled: false }, tag("3")] },
      { route: "request-only", policies: [tag("1")] },
      { route: "response-only", policies: [tagResponse("a")] },
      {
        route: "observed",
        policies: [{ name: "mutate", parameters: { request: { path: "/changed" } } }, observe],
      },
      {
        route: "denied",
        policies: [
          tag("1"),
          deny({
            whenHeader: "x-deny",
            status: 451,
            body: "no",
            reason: "legal",
            headers: { "set-cookie": ["a=1", "b=2"], "content-type": "text/html" },
          }),
          { name: "on-denials" },
          tagResponse("never-on-denials"),
        ],
      },
      {
        route: "denied-response",
        policies: [deny({ phase: "response", status: 502, body: "replaced" }), tagResponse("a")],
      },
      { route: "ends", policies: [{ name: "ends" }, deny({ whenHeader: "x-deny", reason: "end_reason" })] },
    ],
  });
}, BUILD_TIMEOUT_MS);

afterAll(() => stack?.stop());

describe("FR-004: order", () => {
  test("FR-001, FR-004: request hooks run as listed, also where some are asynchronous", async () => {
    expect((await stack.get("/order")).echo().headerValues("x-trace")).toEqual(["1", "2!", "3"]);
  });

  test("FR-002, FR-004: response hooks run as listed", async () => {
    expect((await stack.get("/order")).headerValues("x-trace")).toEqual(["a", "b"]);
  });

  test("FR-004: or the other way round", async () => {
    expect((await stack.get("/reversed")).headerValues("x-trace")).toEqual(["b", "a"]);
  });

  test("FR-004: a policy that is not enabled does not run", async () => {
    expect((await stack.get("/disabled")).echo().headerValues("x-trace")).toEqual(["1", "3"]);
  });
});

describe("FR-016 to FR-018: phases", () => {
  test("FR-016: a request-only policy leaves the response alone", async () => {
    const response = await stack.get("/request-only");
    expect([response.echo().headerValues("x-trace"), response.headerValues("x-trace")]).toEqual([["1"], []]);
  });

  test("FR-017: a response-only policy leaves the request alone", async () => {
    const response = await stack.get("/response-only");
    expect([response.echo().headerValues("x-trace"), response.headerValues("x-trace")]).toEqual([[], ["a"]]);
  });

  test("FR-018: a policy of both phases runs in both", async () => {
    const response = await stack.get("/observed");
    expect(response.header("x-observed")).toBeDefined();
    expect(response.echo().header("x-observed")).toBeDefined();
  });
});

describe("FR-006, FR-007: what hooks see", () => {
  const headers: [string, string][] = [
    ["x-one", "1"],
    ["x-two", "a"],
    ["x-two", "b"],
    ["x-request-id", "id-of-the-test"],
    ["host", "api.example"],
  ];

  test("FR-006: the request as earlier policies left it, and as it was received", async () => {
    const response = await stack.request({ method: "PATCH", path: "/observed//%61/../b?q=1", headers });
    const seen = decode(response.echo().header("x-observed"));
    expect(seen).toMatchObject({
      method: "PATCH",
      path: "/changed",
      rawPath: "/changed",
      query: "q=1",
      authority: "api.example",
      scheme: "http",
      client: "127.0.0.1",
      body: null,
      route: "observed",
      place: "observed",
      engine: { environment: "staging" },
    });
    expect(seen.headers).toEqual(
      expect.arrayContaining([
        ["x-two", "a"],
        ["x-two", "b"],
      ]),
    );
    expect(seen.original).toMatchObject({ method: "PATCH", authority: "api.example" });
    expect(seen.original.path.startsWith("/observed/")).toBe(true);
  });

  test("FR-007: the response phase still has the request, and the response as it came", async () => {
    const response = await stack.request({ path: "/observed?q=1", headers });
    const seen = decode(response.header("x-observed"));
    expect(seen).toMatchObject({ status: 200, denied: false, request: { path: "/changed", method: "GET" } });
    expect(seen.headers).toContainEqual(["content-type", "application/json"]);
    expect(seen.request.headers).toContainEqual(["x-one", "1"]);
    const before = decode(response.echo().header("x-observed"));
    expect(seen.requestId).toBe(before.requestId);
  });
});

describe("FR-003: answers in place of the upstream", () => {
  test("FR-003: status, body, headers with two Set-Cookie lines, and policies that apply to denials", async () => {
    stack.upstream.forget();
    const response = await stack.get("/denied", [["x-deny", "1"]]);
    expect([response.status, response.text()]).toEqual([451, "no"]);
    expect(response.headerValues("set-cookie")).toEqual(["a=1", "b=2"]);
    expect(response.header("content-type")).toBe("text/html");
    expect(response.header("x-denied")).toBe("true");
    expect(response.headerValues("x-trace")).toEqual([]);
    expect(stack.upstream.requests).toEqual([]);
  });

  test("FR-003: without the denial the same chain passes", async () => {
    const response = await stack.get("/denied");
    expect([response.status, response.header("x-denied")]).toEqual([200, "false"]);
    expect(response.headerValues("x-trace")).toEqual(["never-on-denials"]);
  });

  test("FR-003: a response hook can put another answer in the upstream's place", async () => {
    const response = await stack.get("/denied-response");
    expect([response.status, response.text()]).toEqual([502, "replaced"]);
    expect(response.headerValues("x-trace")).toEqual([]);
  });

  test("FR-003: a denial of a HEAD request has no body and keeps the connection usable", async () => {
    const response = await stack.request({ method: "HEAD", path: "/denied", headers: [["x-deny", "1"]] });
    expect([response.status, response.text()]).toEqual([451, ""]);
  });

  test("FR-003: onEnd tells how it ended, once", async () => {
    const since = stack.engine.logs().length;
    await stack.get("/ends", [["x-deny", "1"]]);
    const line = await stack.engine.waitForLog("exchange ended", since);
    expect(line.metadata).toMatchObject({ outcome: "denied", reason: "end_reason", policy: "ends:v1.0.0" });
    await stack.get("/ends");
    await stack.engine.waitForLog('"outcome":"passed"', since);
    const ends = stack.engine
      .logs()
      .slice(since)
      .filter((one) => one.message === "exchange ended");
    expect(ends).toHaveLength(2);
  });
});

// biome-ignore lint/suspicious/noExplicitAny: facts as the observing policy wrote them
function decode(header: string | undefined): any {
  return JSON.parse(decodeURIComponent(header ?? ""));
}
