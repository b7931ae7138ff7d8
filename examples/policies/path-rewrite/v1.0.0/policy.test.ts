import { describe, expect, test } from "bun:test";
import { type TestChain, testPolicy } from "@policy-engine/testing";
import * as policy from "./policy.ts";

function pathRewrite(params: unknown): Promise<TestChain> {
  return testPolicy(policy, { definition: import.meta.url, params });
}

describe("FR-021: replaces a prefix", () => {
  const rewrites: [from: string, to: string, path: string, expected: string][] = [
    ["/api/v1", "/internal", "/api/v1/orders", "/internal/orders"],
    ["/api/v1", "/internal", "/api/v1/orders?page=2&a=%20b", "/internal/orders?page=2&a=%20b"],
    ["/api/v1", "/internal", "/api/v1", "/internal"],
    ["/api/v1", "/internal", "/api/v1/", "/internal/"],
    ["/api/v1/", "/internal/", "/api/v1/orders", "/internal/orders"],
    ["/api/v1/", "/internal/", "/api/v1", "/internal"],
    ["/api", "/", "/api/orders", "/orders"],
    ["/api", "/", "/api", "/"],
    ["/api", "/", "/api?x", "/?x"],
    ["/", "/v2", "/orders", "/v2/orders"],
    ["/", "/v2", "/", "/v2/"],
    ["/a", "/a/a", "/a/a/b", "/a/a/a/b"],
    ["/api", "/x", "//api//orders", "/x/orders"],
    ["/api", "/x", "/%61pi/orders", "/x/orders"],
    ["/api", "/x", "/api/a/../b/./c", "/x/b/c"],
    ["/api", "/x", "/api/\u00e9", "/x/%C3%A9"],
    ["/api", "/x", "/other/../api/%2e%2e/api/a%2fb", "/x/a%2Fb"],
  ];
  test.each(rewrites)("%s to %s: %s", async (from, to, path, expected) => {
    await using chain = await pathRewrite({ replacePrefix: { from, to } });
    const exchange = await chain.request({ path });
    expect(exchange.outcome).toBe("passed");
    expect(exchange.changes).toEqual({ ":path": [expected] });
  });

  const untouched = [
    "/api/v10/orders",
    "/api",
    "/API/v1/orders",
    "/x/api/v1",
    "/api/v1/../admin",
    "/api%2Fv1/orders",
    "*",
  ];
  test.each(untouched)("leaves %s alone, byte for byte", async (path) => {
    await using chain = await pathRewrite({
      replacePrefix: { from: "/api/v1", to: "/internal" },
      method: "POST",
      authority: "other",
      reroute: true,
    });
    const exchange = await chain.request({ path });
    expect(exchange.outcome).toBe("passed");
    expect(exchange.changes).toEqual({});
    expect(exchange.path).toBe(path);
    expect(exchange.reroute).toBe(false);
  });
});

test("FR-021: replaces the whole path and keeps the query as it is", async () => {
  await using chain = await pathRewrite({ replacePath: "/maintenance" });
  expect((await chain.request({ path: "/a/b?q=%7e+1" })).path).toBe("/maintenance?q=%7e+1");
  expect((await chain.request({ path: "/a/b" })).path).toBe("/maintenance");
});

test("does not give a path to a request that has none", async () => {
  await using chain = await pathRewrite({ replacePath: "/maintenance" });
  expect((await chain.request({ method: "OPTIONS", path: "*" })).changes).toEqual({});
});

test("FR-021: replaces method and authority", async () => {
  await using chain = await pathRewrite({ method: "POST", authority: "api.example.com:8443" });
  const exchange = await chain.request({ method: "PUT", path: "/orders" });
  expect(exchange.changes).toEqual({ ":method": ["POST"], ":authority": ["api.example.com:8443"] });
  expect(exchange.reroute).toBe(false);
});

test("asks for another route only when told to", async () => {
  await using chain = await pathRewrite({ replacePrefix: { from: "/a", to: "/b" }, reroute: true });
  expect((await chain.request({ path: "/a" })).reroute).toBe(true);
});

describe("US8: refuses parameters", () => {
  const path = "A path is needed";
  const refused: [string, unknown, string][] = [
    ["none at all", {}, "nothing is rewritten"],
    ["reroute alone", { reroute: true }, "nothing is rewritten"],
    ["prefix and path", { replacePrefix: { from: "/a", to: "/b" }, replacePath: "/c" }, "both given"],
    ["a prefix without its end", { replacePrefix: { from: "/a" } }, "to"],
    ["a path without a slash", { replacePath: "orders" }, path],
    ["another host's path", { replacePath: "//evil.example.com" }, path],
    ["a path with a query", { replacePath: "/a?b" }, path],
    ["a path with a fragment", { replacePath: "/a#b" }, path],
    ["a path with a line feed", { replacePath: "/a\n" }, path],
    ["a path with a blank", { replacePrefix: { from: "/a", to: "/b c" } }, path],
    ["a path beyond ASCII", { replacePath: "/é" }, path],
    [
      "dot segments",
      { replacePath: "/a/../b" },
      'replacePath is "/a/../b", a path in normalised form is needed',
    ],
    ["a prefix nothing can meet", { replacePrefix: { from: "/%61pi", to: "/b" } }, "replacePrefix.from is"],
    ["empty segments", { replacePrefix: { from: "/a", to: "/b//c" } }, "replacePrefix.to is"],
    ["encoding in lower case", { replacePath: "/a%2fb" }, "normalised form"],
    ["broken encoding", { replacePath: "/a%2" }, "normalised form"],
    ["a method in lower case", { method: "post" }, "A method in upper case is needed"],
    ["an authority with a path", { authority: "example.com/a" }, "A host with an optional port is needed"],
    ["an unknown key", { prefix: "/a" }, "prefix"],
  ];
  test.each(refused)("%s", async (_what, params, message) => {
    await expect(pathRewrite(params)).rejects.toThrow(message);
  });
});
