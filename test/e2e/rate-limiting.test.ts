import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { connect } from "node:net";
import { BUILD_TIMEOUT_MS } from "../helpers/build.ts";
import type { PolicySpec, RouteSpec } from "../helpers/engine.ts";
import type { RunningEnvoy } from "../helpers/envoy.ts";
import { type ClientRequest, type ClientResponse, HttpConnection, load, request } from "../helpers/http.ts";
import { type Stack, startEnvoyFor, startStack } from "../helpers/stack.ts";
import { waitFor } from "../helpers/wait.ts";

// Every limit is one of an hour: nothing comes back while a test runs, however slow the machine is.

const KEYS = { alice: "alice-key-of-the-test", bob: "bob-key-of-the-test" };
const CONCURRENT = 300;
const PASSING = 100;

const apiKeys: PolicySpec = {
  name: "api-key-validation",
  version: "v2.0.0",
  parameters: { consumers: Object.entries(KEYS).map(([id, key]) => ({ id, keys: [key] })) },
};

function limited(requests: number, rest: object = {}): PolicySpec {
  return { name: "rate-limiting", parameters: { limits: [{ requests, per: "1h" }], ...rest } };
}

function header(value: string): PolicySpec {
  return { name: "set-header", parameters: { request: { set: { "x-step": value } } } };
}

const routes: RouteSpec[] = [
  { route: "plain", policies: [limited(2)] },
  { route: "legacy", policies: [limited(2, { headers: "legacy" })] },
  {
    route: "private",
    policies: [apiKeys, limited(2, { key: { metadata: "auth.subject" } }), header("after")],
  },
  {
    route: "writes",
    policies: [{ ...limited(1), executionCondition: 'request.Method in ["POST", "PUT", "DELETE"]' }],
  },
  { route: "address", policies: [limited(2, { key: "client.address" })] },
  { route: "trusted", policies: [limited(1, { key: "client.address" })] },
  { route: "tenants", policies: [limited(1, { key: { header: "x-tenant" } })] },
  { route: "expression", policies: [limited(1, { key: { expression: "auth.subject" } })] },
  { route: "burst", policies: [limited(PASSING)] },
  {
    route: "several",
    policies: [
      {
        name: "rate-limiting",
        parameters: {
          limits: [
            { name: "all", requests: PASSING, per: "1h" },
            {
              name: "tenant",
              requests: 3,
              per: "1h",
              algorithm: "fixed-window",
              key: { header: "x-tenant" },
            },
          ],
        },
      },
    ],
  },
  { route: "kept", policies: [header("one"), limited(4)] },
  { route: "other", policies: [header("one")] },
];

let stack: Stack;

beforeAll(async () => {
  stack = await startStack({ routes });
}, BUILD_TIMEOUT_MS);

afterAll(() => stack?.stop());

beforeEach(() => stack.upstream.forget());

type Lines = NonNullable<ClientRequest["headers"]>;

async function statuses(path: string, ...each: Lines[]): Promise<number[]> {
  const seen: number[] = [];
  for (const headers of each) seen.push((await stack.get(path, headers)).status);
  return seen;
}

describe("429", () => {
  test("with what is left on responses, and how long to wait on a refusal", async () => {
    const first = await stack.get("/plain");
    expect(first.status).toBe(200);
    expect(first.header("ratelimit-policy")).toBe('"default";q=2;w=3600');
    expect(first.header("ratelimit")).toBe('"default";r=1;t=1800');
    expect((await stack.get("/plain")).header("ratelimit")).toStartWith('"default";r=0;t=');
    const refused = await stack.get("/plain");
    expect([refused.status, refused.text()]).toEqual([429, "Too many requests"]);
    const wait = Number(refused.header("retry-after"));
    expect(wait).toBeGreaterThan(0);
    expect(wait).toBeLessThanOrEqual(1800);
    expect(refused.header("ratelimit")).toBe(`"default";r=0;t=${wait}`);
    expect(stack.upstream.requests).toHaveLength(2);
  });

  test("with the fields that are widely used", async () => {
    const { headers, status } = await stack.get("/legacy");
    expect(status).toBe(200);
    expect(headers.filter(([name]) => name.startsWith("ratelimit"))).toEqual([
      ["ratelimit-limit", "2"],
      ["ratelimit-remaining", "1"],
      ["ratelimit-reset", "1800"],
    ]);
  });

  test("US2.1: without a valid key the rate limit never runs, and counts nothing", async () => {
    const before = await executions();
    expect(await statuses("/private", [], [], [["x-api-key", "a-wrong-key-of-the-test"]])).toEqual([
      401, 401, 403,
    ]);
    expect(stack.upstream.requests).toEqual([]);
    expect(await executions()).toBe(before);
  });

  test("US7.1: per user, as an earlier policy tells them apart", async () => {
    const alice: Lines = [["x-api-key", KEYS.alice]];
    const bob: Lines = [["x-api-key", KEYS.bob]];
    expect(await statuses("/private", alice, alice, alice, bob, bob, bob)).toEqual([
      200, 200, 429, 200, 200, 429,
    ]);
    expect(stack.upstream.requests).toHaveLength(4);
  });

  test("US4.2: with a condition, only requests that meet it are counted", async () => {
    const ask = async (method: string) => (await stack.request({ method, path: "/writes" })).status;
    expect([
      await ask("POST"),
      await ask("GET"),
      await ask("PUT"),
      await ask("GET"),
      await ask("DELETE"),
    ]).toEqual([200, 200, 429, 200, 429]);
  });

  function executions(): Promise<number> {
    return stack.engine.metric("policy_worker_executions_total", { policy: "rate-limiting:v1.0.0" });
  }
});

describe("keys", () => {
  test("a client's address is that of its connection: x-forwarded-for is no way around", async () => {
    const ask = async (address: string, forwarded: string) =>
      (
        await requestFrom(stack.envoy, address, {
          path: "/address",
          headers: [["x-forwarded-for", forwarded]],
        })
      ).status;
    expect([await ask("127.0.0.1", "192.0.2.1"), await ask("127.0.0.1", "192.0.2.2")]).toEqual([200, 200]);
    expect([await ask("127.0.0.1", "192.0.2.3"), await ask("127.0.0.1", "127.0.0.2")]).toEqual([429, 429]);
    expect([await ask("127.0.0.2", "192.0.2.1"), await ask("127.0.0.2", "127.0.0.1")]).toEqual([200, 200]);
    expect(await ask("127.0.0.2", "192.0.2.9")).toBe(429);
  });

  test("behind a proxy that Envoy trusts, it is what that proxy says", async () => {
    const envoy = await startEnvoyFor(stack, {
      routes,
      envoy: ({ connectionManager }) => {
        connectionManager.xff_num_trusted_hops = 1;
      },
    });
    try {
      const ask = async (forwarded: string) => {
        const headers: Lines = [["x-forwarded-for", forwarded]];
        return (await request(envoy.port, { path: "/trusted", headers })).status;
      };
      expect([await ask("192.0.2.1"), await ask("192.0.2.1"), await ask("192.0.2.2")]).toEqual([
        200, 429, 200,
      ]);
      // The proxy adds the address that it sees behind whatever the client sent.
      expect(await ask("192.0.2.7, 192.0.2.1")).toBe(429);
      expect([await ask("2001:db8::1"), await ask("2001:db8::2"), await ask("2001:db8:0:1::1")]).toEqual([
        200, 429, 200,
      ]);
    } finally {
      await envoy.stop();
    }
  });

  test("leaving a header out, or sending it twice, is no way around", async () => {
    const twice: Lines = [
      ["x-tenant", "a"],
      ["x-tenant", "b"],
    ];
    expect(await statuses("/tenants", [["x-tenant", "a"]], [["x-tenant", "a"]], [["x-tenant", "ü"]])).toEqual(
      [200, 429, 200],
    );
    expect(await statuses("/tenants", [], twice, [["x-tenant", ""]])).toEqual([200, 429, 429]);
  });

  test("an expression without a value counts as a missing key", async () => {
    expect(await statuses("/expression", [], [])).toEqual([200, 429]);
  });
});

describe("concurrent requests", () => {
  test(`exactly ${PASSING} of ${CONCURRENT} pass`, async () => {
    const passed = await passing({ path: () => "/burst" });
    expect(passed).toBe(PASSING);
    expect(stack.upstream.requests).toHaveLength(PASSING);
  });

  test("a request that one of several limits refuses is counted by none", async () => {
    // Thirty tenants want ten each and may have three: had refused ones counted, `all` would be used up.
    const tenants = CONCURRENT / 10;
    const passed = await passing({
      path: () => "/several",
      headers: (index) => [["x-tenant", `tenant-${index % tenants}`]],
    });
    expect(passed).toBe(3 * tenants);
    const left = await stack.get("/several", [["x-tenant", "late"]]);
    expect(left.header("ratelimit")).toStartWith(`"all";r=${PASSING - 3 * tenants - 1};`);
  });

  async function passing(ask: { path: () => string; headers?: (index: number) => Lines }): Promise<number> {
    const seen = new Map<number, number>();
    await load(stack.envoy.port, {
      count: CONCURRENT,
      connections: 30,
      request: (index) => ({ path: ask.path(), headers: ask.headers?.(index) ?? [] }),
      onResponse: ({ status }) => seen.set(status, (seen.get(status) ?? 0) + 1),
    });
    expect([...seen.keys()].toSorted()).toEqual([200, 429]);
    return seen.get(200) ?? 0;
  }
});

describe("a change of the configuration", () => {
  const kept = (...policies: PolicySpec[]): RouteSpec[] =>
    routes.map((route) => (route.route === "kept" ? { ...route, policies } : route));

  test("leaves the counters alone: of another route, of another policy, of the limit itself", async () => {
    expect(await left()).toBe(3);

    await apply(
      routes.map((route) => (route.route === "other" ? { ...route, policies: [header("two")] } : route)),
    );
    expect((await stack.get("/other")).echo().header("x-step")).toBe("two");
    expect(await left()).toBe(2);

    await apply(kept(header("two"), limited(4)));
    const response = await stack.get("/kept");
    expect([response.echo().header("x-step"), response.header("ratelimit")?.slice(0, 13)]).toEqual([
      "two",
      '"default";r=1',
    ]);

    // Three quarters are used up, so three quarters of the new one are.
    await apply(kept(header("two"), limited(8)));
    expect(await left()).toBe(1);
    await apply(kept(header("two"), limited(8, { headers: "draft", maxKeys: 2000 })));
    expect(await left()).toBe(0);
    expect((await stack.get("/kept")).status).toBe(429);
  });

  test("US8.2: with a negative requestsPerSecond is refused with the range, and the limit stays what it was", async () => {
    const since = stack.engine.logs().length;
    const wrong = { name: "rate-limiting", parameters: { requestsPerSecond: -5 } };
    await stack.engine.writeRoutes(kept(wrong));
    const line = JSON.stringify(await stack.engine.waitForLog("/parameters/requestsPerSecond", since));
    expect(line).toContain("must be at least 1");
    expect((await stack.get("/kept")).status).toBe(429);
    await apply(kept({ name: "rate-limiting", parameters: { requestsPerSecond: 1_000_000 } }));
    // The hour of the limit before is over with the second of this one.
    await waitFor("a request that passes", async () => (await stack.get("/kept")).status === 200);
  });

  /** What is left after one more request. */
  async function left(): Promise<number> {
    const response = await stack.get("/kept");
    expect(response.status).toBe(200);
    return Number(/r=(\d+)/.exec(response.header("ratelimit") ?? "")?.[1]);
  }

  async function apply(changed: RouteSpec[]): Promise<void> {
    const since = stack.engine.logs().length;
    await stack.engine.writeRoutes(changed);
    await stack.engine.waitForLog("Applied configuration", since);
  }
});

/** Sends one request from another loopback address. */
async function requestFrom(
  envoy: RunningEnvoy,
  address: string,
  sent: ClientRequest,
): Promise<ClientResponse> {
  const socket = connect({ host: "127.0.0.1", port: envoy.port, localAddress: address });
  await new Promise<void>((resolve, reject) => socket.once("connect", () => resolve()).once("error", reject));
  const connection = new HttpConnection(socket);
  try {
    return await connection.send(sent);
  } finally {
    connection.close();
  }
}
