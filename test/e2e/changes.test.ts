import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { BUILD_TIMEOUT_MS } from "../helpers/build.ts";
import type { RouteSpec } from "../helpers/engine.ts";
import { type Stack, startStack } from "../helpers/stack.ts";

function mutate(route: string, ...changes: { request?: object; response?: object }[]): RouteSpec {
  return { route, policies: changes.map((parameters) => ({ name: "mutate", parameters })) };
}

let stack: Stack;

beforeAll(async () => {
  stack = await startStack({
    envoyRoutes: ["elsewhere"],
    routes: [
      mutate(
        "multi",
        {
          request: { appendHeaders: { "x-list": ["c", "d"] } },
          response: { appendHeaders: { "x-list": "c" } },
        },
        { request: { setHeaders: { "x-replaced": ["n1", "n2", "n3"] } } },
        { request: { removeHeaders: ["X-Removed"] }, response: { removeHeaders: ["x-removed"] } },
        {
          request: { addHeadersIfAbsent: { "x-absent": "added", "x-present": "not added" } },
          response: { addHeadersIfAbsent: { "x-absent": ["a1", "a2"], "x-present": "not added" } },
        },
      ),
      mutate(
        "later-sees-earlier",
        { request: { setHeaders: { "x-step": "1" }, removeHeaders: ["x-client"] } },
        { request: { addHeadersIfAbsent: { "x-step": "2", "x-client": "again" } } },
        { request: { appendHeaders: { "x-step": "3" } } },
        { request: { setHeaders: { "x-passing": "by" } } },
        { request: { removeHeaders: ["x-passing"] } },
      ),
      mutate("path", { request: { path: "/new/path" } }),
      mutate("query", { request: { query: "a=1&b=%20" } }, { request: { path: "/q" } }),
      mutate("no-query", { request: { query: null } }),
      mutate("method", { request: { method: "PUT" } }),
      mutate("authority", { request: { authority: "other.example:8443" } }),
      mutate("reroute", { request: { path: "/elsewhere/here", reroute: true } }),
      mutate("status", { response: { status: 418, setHeaders: { "x-was": "200" } } }),
      mutate("nothing", {}),
    ],
  });
  stack.upstream.on("/multi/response", {
    headers: [
      ["x-list", "a"],
      ["x-list", "b"],
      ["x-removed", "1"],
      ["x-removed", "2"],
      ["x-present", "p"],
    ],
  });
}, BUILD_TIMEOUT_MS);

afterAll(() => stack?.stop());

describe("FR-019: request headers", () => {
  test("FR-019: multi-value set, append, remove and add-if-absent come out right", async () => {
    const response = await stack.get("/multi", [
      ["x-list", "a"],
      ["x-list", "b"],
      ["x-replaced", "o1"],
      ["x-replaced", "o2"],
      ["x-removed", "1"],
      ["x-removed", "2"],
      ["x-present", "p"],
    ]);
    const echo = response.echo();
    expect(echo.headerValues("x-list")).toEqual(["a", "b", "c", "d"]);
    expect(echo.headerValues("x-replaced")).toEqual(["n1", "n2", "n3"]);
    expect(echo.headerValues("x-removed")).toEqual([]);
    expect(echo.headerValues("x-absent")).toEqual(["added"]);
    expect(echo.headerValues("x-present")).toEqual(["p"]);
  });

  test("FR-006: a later policy sees what earlier ones changed", async () => {
    const echo = (await stack.get("/later-sees-earlier", [["x-client", "1"]])).echo();
    expect(echo.headerValues("x-step")).toEqual(["1", "3"]);
    expect(echo.headerValues("x-client")).toEqual(["again"]);
    expect(echo.headerValues("x-passing")).toEqual([]);
  });
});

describe("FR-021: path, method, authority", () => {
  test("FR-021: a new path keeps the query", async () => {
    expect((await stack.get("/path/old?x=1&y=%2F")).echo().path).toBe("/new/path?x=1&y=%2F");
  });

  test("FR-021: a new query, and a later path on top of it", async () => {
    expect((await stack.get("/query?old=1")).echo().path).toBe("/q?a=1&b=%20");
  });

  test("FR-021: a dropped query", async () => {
    expect((await stack.get("/no-query/a?x=1")).echo().path).toBe("/no-query/a");
  });

  test("FR-021: an untouched path goes on byte for byte", async () => {
    const path = "/nothing/%C3%A9;a=b,c/'(x)'?x=%zz&&=?/+";
    expect((await stack.get(path)).echo().path).toBe(path);
  });

  test("FR-021: another method", async () => {
    expect((await stack.request({ method: "POST", path: "/method", body: "x" })).echo().method).toBe("PUT");
  });

  test("FR-021: another authority", async () => {
    expect((await stack.get("/authority")).echo().header("host")).toBe("other.example:8443");
  });

  test("FR-021: Envoy chooses the route anew only when asked to", async () => {
    const rerouted = await stack.get("/reroute");
    expect([rerouted.header("x-envoy-route"), rerouted.echo().path]).toEqual([
      "elsewhere",
      "/elsewhere/here",
    ]);
    const kept = await stack.get("/path");
    expect([kept.header("x-envoy-route"), kept.echo().path]).toEqual(["path", "/new/path"]);
  });
});

describe("FR-022, FR-024: the response", () => {
  test("FR-022: multi-value append, remove and add-if-absent come out right", async () => {
    const response = await stack.get("/multi/response");
    expect(response.headerValues("x-list")).toEqual(["a", "b", "c"]);
    expect(response.headerValues("x-removed")).toEqual([]);
    expect(response.headerValues("x-absent")).toEqual(["a1", "a2"]);
    expect(response.headerValues("x-present")).toEqual(["p"]);
  });

  test("FR-024: another status, with body and headers as they were", async () => {
    const response = await stack.get("/status");
    expect([response.status, response.header("x-was"), response.echo().path]).toEqual([
      418,
      "200",
      "/status",
    ]);
  });
});
