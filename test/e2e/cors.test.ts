// CORS through the real Envoy: preflights never reach the upstream, responses and denials have the headers.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { BUILD_TIMEOUT_MS } from "../helpers/build.ts";
import type { ClientResponse } from "../helpers/http.ts";
import { type Stack, startStack } from "../helpers/stack.ts";

const APP = "https://app.example.com";
const cors = (parameters: object = {}) => ({
  name: "cors",
  version: "v1.0.0",
  parameters: { origins: [APP], methods: ["GET", "PUT"], credentials: true, ...parameters },
});
const apiKey = { name: "api-key-validation", version: "v1.0.0", parameters: { keys: ["acme-key-1"] } };

let stack: Stack;

beforeAll(async () => {
  stack = await startStack({
    routes: [
      { route: "guarded", policies: [cors(), apiKey] },
      { route: "behind", policies: [apiKey, cors()] },
      { route: "failing", policies: [cors(), { name: "faulty", parameters: { how: "throw" } }] },
      { route: "open", policies: [cors({ origins: ["*"], credentials: false })] },
    ],
  });
  stack.upstream.on("/guarded/own", {
    headers: [
      ["access-control-allow-origin", "*"],
      ["access-control-allow-credentials", "true"],
      ["access-control-max-age", "1"],
      ["vary", "accept"],
    ],
  });
}, BUILD_TIMEOUT_MS);

afterAll(() => stack?.stop());

const corsOf = ({ headers }: ClientResponse) =>
  Object.fromEntries(headers.filter(([name]) => name.startsWith("access-control-")));

const preflight = (path: string, origin: string) =>
  stack.request({
    method: "OPTIONS",
    path,
    headers: [
      ["origin", origin],
      ["access-control-request-method", "PUT"],
    ],
  });

test("a preflight is answered in front of authentication, and never reaches the upstream", async () => {
  stack.upstream.forget();
  const response = await preflight("/guarded/x", APP);
  expect([response.status, response.text()]).toEqual([204, ""]);
  expect(corsOf(response)).toEqual({
    "access-control-allow-origin": APP,
    "access-control-allow-credentials": "true",
    "access-control-allow-methods": "GET, PUT",
    "access-control-max-age": "600",
  });
  expect(response.header("vary")).toBe(
    "Origin, Access-Control-Request-Method, Access-Control-Request-Headers",
  );
  const refused = await preflight("/guarded/x", "https://evil.example");
  expect([refused.status, corsOf(refused)]).toEqual([403, {}]);
  expect(stack.upstream.requests).toEqual([]);
});

test("OPTIONS that is no preflight is for the upstream", async () => {
  const response = await stack.request({ method: "OPTIONS", path: "/open", headers: [["origin", APP]] });
  expect([response.status, corsOf(response)]).toEqual([200, { "access-control-allow-origin": "*" }]);
  expect(response.header("vary")).toBeUndefined();
});

test("a response has this policy's headers in place of the upstream's", async () => {
  const key = ["x-api-key", "acme-key-1"] as const;
  const own = await stack.get("/guarded/own", [["origin", APP], key]);
  expect([own.status, corsOf(own)]).toEqual([
    200,
    { "access-control-allow-origin": APP, "access-control-allow-credentials": "true" },
  ]);
  expect(
    own.headers
      .filter(([name]) => name === "vary")
      .map(([, value]) => value)
      .join(", "),
  ).toMatch(/^accept, ?Origin$/);
  for (const headers of [[key], [["origin", "https://evil.example"], key]] as const) {
    const response = await stack.get("/guarded/own", headers);
    expect([response.status, corsOf(response)]).toEqual([200, {}]);
  }
});

describe("a denial has the headers, so that a page can read it", () => {
  test.each([
    ["/guarded", 401],
    ["/behind", 401],
    ["/failing", 500],
  ])("%s: %p", async (path, status) => {
    const response = await stack.get(path, [["origin", APP]]);
    expect(response.status).toBe(status);
    expect(corsOf(response)).toEqual({
      "access-control-allow-origin": APP,
      "access-control-allow-credentials": "true",
    });
    expect(response.header("vary")).toBe("Origin");
    expect(corsOf(await stack.get(path, [["origin", "https://evil.example"]]))).toEqual({});
  });
});
