import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { BUILD_TIMEOUT_MS } from "../helpers/build.ts";
import type { RouteSpec } from "../helpers/engine.ts";
import { type Stack, startStack } from "../helpers/stack.ts";
import { waitFor } from "../helpers/wait.ts";

const KEY = "0123456789abcdef";
const apiKey = { name: "api-key-validation", parameters: { keys: [KEY] } };

const routes: RouteSpec[] = [
  {
    route: "api/v1/private",
    policies: [
      apiKey,
      { name: "remember", parameters: { key: "user", value: "u" } },
      { name: "limit-per-user", parameters: { requests: 1_000_000 } },
      { name: "set-header", parameters: { request: { append: { "x-after": "ran" } } } },
    ],
  },
  {
    route: "api/v1/public",
    policies: [
      {
        name: "set-header",
        parameters: {
          request: { set: { "x-set": "new" }, append: { "x-more": "b" }, remove: ["x-gone"] },
          response: { set: { "x-served-by": "policy-engine" }, remove: ["x-upstream"] },
        },
      },
    ],
  },
];

let stack: Stack;

beforeAll(async () => {
  stack = await startStack({ routes });
  stack.upstream.on("/api/v1/public/headers", { headers: [["x-upstream", "1"]] });
}, BUILD_TIMEOUT_MS);

afterAll(() => stack?.stop());

beforeEach(() => stack.upstream.forget());

describe("US1: each route has its own policies", () => {
  test("US1.1: a request without a valid key is answered 401 on the private route", async () => {
    const response = await stack.get("/api/v1/private/orders");
    expect([response.status, response.text()]).toEqual([401, "API key required"]);
    expect(response.header("www-authenticate")).toBe("ApiKey");
    expect(stack.upstream.requests).toEqual([]);
  });

  test("US1.1: a request with the key reaches the upstream", async () => {
    const response = await stack.get("/api/v1/private/orders?id=7", [["x-api-key", KEY]]);
    expect([response.status, response.echo().path]).toEqual([200, "/api/v1/private/orders?id=7"]);
    expect(response.echo().header("x-after")).toBe("ran");
    expect(response.echo().header("x-api-key")).toBeUndefined();
  });

  test("US1.2: the public route needs no key", async () => {
    const response = await stack.get("/api/v1/public/news");
    expect([response.status, response.echo().path]).toEqual([200, "/api/v1/public/news"]);
  });

  test("US1.3: an update of the routes applies without a restart, and what is in flight is not disturbed", async () => {
    const pid = stack.engine.pid;
    const changed = routes.map((route) =>
      route.route === "api/v1/public" ? { ...route, policies: [apiKey] } : route,
    );
    await stack.engine.writeRoutes(changed);
    await waitFor("401 on the public route", async () => (await stack.get("/api/v1/public")).status === 401);
    await stack.engine.writeRoutes(routes);
    await waitFor("200 on the public route", async () => (await stack.get("/api/v1/public")).status === 200);
    expect(stack.engine.pid).toBe(pid);
  });

  test("US1.4: headers are added, changed and removed before the upstream sees them", async () => {
    const { status, ...response } = await stack
      .get("/api/v1/public/x", [
        ["x-set", "old"],
        ["x-more", "a"],
        ["x-gone", "1"],
      ])
      .then((got) => ({ status: got.status, echo: got.echo() }));
    expect(status).toBe(200);
    expect(response.echo.headerValues("x-set")).toEqual(["new"]);
    expect(response.echo.headerValues("x-more")).toEqual(["a", "b"]);
    expect(response.echo.headerValues("x-gone")).toEqual([]);
  });

  test("US1.4: and in the response before the client sees them", async () => {
    const response = await stack.get("/api/v1/public/headers");
    expect(response.header("x-served-by")).toBe("policy-engine");
    expect(response.header("x-upstream")).toBeUndefined();
  });
});

describe("US2: a policy that answers ends the chain", () => {
  test("US2.1: no later policy runs and nothing reaches the upstream", async () => {
    const before = await executions("limit-per-user:v1.0.0");
    const response = await stack.get("/api/v1/private");
    expect(response.status).toBe(401);
    expect(stack.upstream.requests).toEqual([]);
    expect(await executions("limit-per-user:v1.0.0")).toBe(before);
  });

  test("US2.2: a wrong key is answered 403 and later changes are skipped", async () => {
    const before = await executions("set-header:v1.0.0");
    const response = await stack.get("/api/v1/private", [["x-api-key", "not-the-right-one"]]);
    expect([response.status, response.text()]).toEqual([403, "API key not valid"]);
    expect(stack.upstream.requests).toEqual([]);
    expect(await executions("set-header:v1.0.0")).toBe(before);
  });

  test("US2.3: each request is decided by itself", async () => {
    const keys: (string | undefined)[] = [KEY, undefined, KEY, "not-the-right-one", KEY, undefined, KEY];
    const statuses = await Promise.all(
      keys.map(async (key) => {
        const headers: [string, string][] = key === undefined ? [] : [["x-api-key", key]];
        return (await stack.get("/api/v1/private", headers)).status;
      }),
    );
    expect(statuses).toEqual([200, 401, 200, 403, 200, 401, 200]);
    expect(stack.upstream.requests).toHaveLength(4);
  });

  function executions(policy: string): Promise<number> {
    return stack.engine.metric("policy_worker_executions_total", { policy });
  }
});
