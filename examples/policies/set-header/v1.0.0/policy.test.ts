import { describe, expect, test } from "bun:test";
import { type TestChain, testPolicy } from "@policy-engine/testing";
import * as policy from "./policy.ts";

function setHeader(params: unknown): Promise<TestChain> {
  return testPolicy(policy, { definition: import.meta.url, params });
}

test("FR-019: changes request headers before they go to the upstream", async () => {
  await using chain = await setHeader({
    request: {
      remove: ["X-Debug"],
      set: { "X-Environment": "staging" },
      addIfAbsent: { "x-tenant": "public", "x-region": "none" },
      append: { "x-trail": ["a", "b"] },
    },
  });
  const exchange = await chain.request({
    headers: {
      "x-debug": ["1", "2"],
      "x-environment": ["forged", "twice"],
      "x-tenant": "acme",
      "x-trail": "client",
    },
  });
  expect(exchange.outcome).toBe("passed");
  expect(exchange.changes).toEqual({
    "x-debug": null,
    "x-environment": ["staging"],
    "x-region": ["none"],
    "x-trail": ["client", "a", "b"],
  });
  expect(exchange.headers.get("x-tenant")).toBe("acme");
});

test("FR-022: changes response headers before they go to the client", async () => {
  await using chain = await setHeader({
    response: {
      remove: ["server"],
      set: { "x-frame-options": "DENY" },
      append: { "set-cookie": ["a=1", "b=2"] },
    },
  });
  const exchange = await chain.request();
  expect(exchange.changes).toEqual({});
  const response = await exchange.response({ headers: { server: "upstream", "set-cookie": "session=x" } });
  expect(response.changes).toEqual({
    server: null,
    "x-frame-options": ["DENY"],
    "set-cookie": ["session=x", "a=1", "b=2"],
  });
});

test("FR-018: works on both directions of one exchange", async () => {
  await using chain = await setHeader({
    request: { set: { "x-a": "up" } },
    response: { set: { "x-a": "down" } },
  });
  const exchange = await chain.request();
  expect(exchange.changes).toEqual({ "x-a": ["up"] });
  expect((await exchange.response()).changes).toEqual({ "x-a": ["down"] });
});

test("a removed header can be set anew, as removing comes first", async () => {
  await using chain = await setHeader({ request: { set: { "x-a": "new" }, remove: ["x-a"] } });
  const exchange = await chain.request({ headers: { "x-a": ["1", "2"] } });
  expect(exchange.changes).toEqual({ "x-a": ["new"] });
});

test("a list sets one line of each value, an empty value sets an empty header", async () => {
  await using chain = await setHeader({ request: { set: { "x-list": ["1", "2"], "x-empty": "" } } });
  const { headers } = await chain.request({ headers: { "x-list": "client" } });
  expect(headers.getAll("x-list")).toEqual(["1", "2"]);
  expect(headers.getAll("x-empty")).toEqual([""]);
});

describe("US8: refuses parameters", () => {
  const refused: [string, unknown, string][] = [
    ["none at all", {}, "parameters"],
    ["a direction without changes", { request: {} }, "/request"],
    ["an unknown action", { request: { replace: { "x-a": "1" } } }, "/request/replace"],
    ["a pseudo-header", { request: { set: { ":path": "/" } } }, "A header name is needed"],
    ["host in any case", { request: { set: { HoSt: "other" } } }, "A header name is needed"],
    ["content-length", { response: { remove: ["Content-Length"] } }, "A header name is needed"],
    [
      "transfer-encoding",
      { response: { append: { "transfer-encoding": "chunked" } } },
      "A header name is needed",
    ],
    ["a name with a blank", { request: { remove: ["x a"] } }, "A header name is needed"],
    ["an empty name", { request: { remove: [""] } }, "A header name is needed"],
    ["a name with a line feed", { request: { remove: ["x-a\n"] } }, "A header name is needed"],
    [
      "a value with a line feed",
      { request: { set: { "x-a": "1\r\nx-b: 2" } } },
      "without control characters",
    ],
    ["a value with NUL", { request: { set: { "x-a": ["ok", "\u0000"] } } }, "without control characters"],
    ["a value that is no text", { request: { set: { "x-a": 1 } } }, "/request/set/x-a"],
    ["an empty list", { request: { set: { "x-a": [] } } }, "/request/set/x-a"],
    [
      "a name twice",
      { request: { set: { "x-a": "1", "X-A": "2" } } },
      'request.set names the header "x-a" twice',
    ],
  ];
  test.each(refused)("%s", async (_what, params, message) => {
    const made = setHeader(params);
    await expect(made).rejects.toThrow(message);
  });
});

test("names that only begin like a framing header are accepted", async () => {
  await using chain = await setHeader({
    request: { set: { "host-name": "a", "x-host": "b", "content-length-2": "c" } },
  });
  expect(Object.keys((await chain.request()).changes)).toHaveLength(3);
});
