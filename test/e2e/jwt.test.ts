// jwt-validation in front of other policies, with an issuer that publishes its keys over HTTPS.
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { BUILD_TIMEOUT_MS } from "../helpers/build.ts";
import type { PolicySpec, RouteSpec } from "../helpers/engine.ts";
import type { ClientRequest } from "../helpers/http.ts";
import { JwksServer } from "../helpers/jwks-server.ts";
import { type Stack, startStack } from "../helpers/stack.ts";
import { inSeconds, TestIssuer } from "../helpers/tokens.ts";
import { type TrustedAuthority, trustedAuthority } from "../helpers/trusted-authority.ts";

type Lines = NonNullable<ClientRequest["headers"]>;

const ISSUER = "https://issuer.example/";

let issuer: TestIssuer;
let server: JwksServer;
let stack: Stack;
let authority: TrustedAuthority;

beforeAll(async () => {
  issuer = await TestIssuer.create("RS256");
  server = new JwksServer([issuer.jwk], { tls: true });
  authority = await trustedAuthority();
  stack = await startStack({ routes: routes(), env: authority.env });
}, BUILD_TIMEOUT_MS);

afterAll(async () => {
  await stack?.stop();
  await server?.stop();
  await authority?.remove();
});

beforeEach(() => stack.upstream.forget());

function jwt(more: object = {}, version = "v1.0.0"): PolicySpec {
  const issuers = [{ issuer: ISSUER, audiences: ["orders"], jwksUrl: server.url }];
  return { name: "jwt-validation", version, parameters: { issuers, ...more } };
}

function header(value: string): PolicySpec {
  return { name: "set-header", parameters: { request: { set: { "x-step": value } } } };
}

/** Of an hour: nothing comes back while a test runs. */
function limited(requests: number, rest: object = {}): PolicySpec {
  return { name: "rate-limiting", parameters: { limits: [{ requests, per: "1h" }], ...rest } };
}

function recall(key: string): PolicySpec {
  return { name: "recall", parameters: { key, header: "x-recalled" } };
}

function routes(): RouteSpec[] {
  const bySubject = { key: { metadata: "auth.subject" } };
  return [
    { route: "public", policies: [header("public")] },
    {
      route: "private",
      policies: [jwt({ claimHeaders: { "x-user": "sub" } }), limited(1000), header("private")],
    },
    { route: "limited", policies: [jwt(), limited(2, bySubject)] },
    { route: "both", policies: [jwt({ claimMetadata: { user: "sub" } }), recall("user")] },
    {
      route: "last",
      policies: [
        jwt({ claimMetadata: { user: "sub" } }),
        { name: "remember", parameters: { key: "user", value: "someone-else" } },
        recall("user"),
      ],
    },
    {
      route: "tiers",
      policies: [jwt(), { ...limited(1, bySubject), executionCondition: 'auth.claims.tier != "gold"' }],
    },
    { route: "v2", policies: [jwt({ scopes: { all: ["orders:read"] } }, "v2.0.0")] },
    {
      route: "cookie",
      policies: [jwt({ tokenFrom: [{ cookie: "session" }, { query: "token" }] }, "v2.0.0")],
    },
    {
      route: "rules",
      policies: [jwt({ rules: ['auth.claims.tenant == request.headers["x-tenant"]'] }, "v2.0.0")],
    },
    {
      route: "shop",
      policies: [{ ...jwt(), executionCondition: 'request.Path.startsWith("/shop/api/")' }, header("shop")],
    },
    { route: "failing", policies: [{ ...jwt(), executionCondition: "metadata.missing == 1" }] },
    { route: "changing", policies: [header("open")] },
  ];
}

async function token(claims: object = {}): Promise<string> {
  return issuer.sign({ iss: ISSUER, aud: "orders", sub: "alice", exp: inSeconds(300), ...claims });
}

async function bearer(claims: object = {}): Promise<Lines> {
  return [["authorization", `Bearer ${await token(claims)}`]];
}

async function statuses(path: string, ...each: Lines[]): Promise<number[]> {
  const seen: number[] = [];
  for (const headers of each) seen.push((await stack.get(path, headers)).status);
  return seen;
}

/** How often a policy has run so far. */
function executions(policy: string): Promise<number> {
  return stack.engine.metric("policy_worker_executions_total", { policy });
}

describe("US1: each route has its own policies", () => {
  test("US1.1: without a valid token the private route answers 401", async () => {
    const missing = await stack.get("/private");
    expect([missing.status, missing.header("www-authenticate")]).toEqual([401, 'Bearer realm="api"']);
    const invalid = await stack.get("/private", [["authorization", `Bearer ${await token()}x`]]);
    expect(invalid.status).toBe(401);
    expect(invalid.header("www-authenticate")).toBe('Bearer realm="api", error="invalid_token"');
    expect(invalid.text()).toBe("Token not valid");
    expect(stack.upstream.requests).toEqual([]);
  });

  test("US1.2: the public route asks for none", async () => {
    const response = await stack.get("/public");
    expect([response.status, response.echo().header("x-step")]).toEqual([200, "public"]);
  });

  test("US1.3: a change applies to the requests that follow, without a restart, in both directions", async () => {
    const { pid } = stack.engine;
    const closed = { route: "changing", policies: [jwt(), header("closed")] };
    expect(await statuses("/changing", [])).toEqual([200]);
    const rest = routes().slice(0, -1);
    let since = stack.engine.logs().length;
    await stack.engine.writeRoutes([...rest, closed]);
    await stack.engine.waitForLog("applied", since);
    expect(await statuses("/changing", [], await bearer())).toEqual([401, 200]);
    since = stack.engine.logs().length;
    await stack.engine.writeRoutes(routes());
    await stack.engine.waitForLog("applied", since);
    expect(await statuses("/changing", [])).toEqual([200]);
    expect(stack.engine.pid).toBe(pid);
  });

  test("US1.4, FR-050: headers reach the upstream as the policies left them, and no forged ones", async () => {
    const forged: Lines = [
      ...(await bearer()),
      ["x-user", "root"],
      ["X-User", "admin"],
      ["x-step", "forged"],
    ];
    for (let round = 0; round < 2; round++) {
      const echo = (await stack.get("/private", forged)).echo();
      expect([echo.headerValues("x-user"), echo.headerValues("x-step")]).toEqual([["alice"], ["private"]]);
      expect(echo.header("authorization")).toBeUndefined();
    }
  });
});

describe("US2: a denial ends the chain", () => {
  test("US2.1: after a refused token neither rate limiting nor the upstream are reached", async () => {
    const before = await executions("rate-limiting");
    const expired = await bearer({ exp: inSeconds(-3600) });
    expect(await statuses("/limited", [], expired, expired, expired)).toEqual([401, 401, 401, 401]);
    expect([await executions("rate-limiting"), stack.upstream.requests.length]).toEqual([before, 0]);
  });

  test("US2.2: nor are policies that change the request", async () => {
    const before = await executions("set-header");
    expect(await statuses("/private", [], [["authorization", "Bearer a.b.c"]])).toEqual([401, 401]);
    expect([await executions("set-header"), stack.upstream.requests.length]).toEqual([before, 0]);
  });

  test("US2.3: each request is decided for itself", async () => {
    const good = await bearer();
    expect(await statuses("/private", good, [], good, [["authorization", "Bearer x"]], good)).toEqual([
      200, 401, 200, 401, 200,
    ]);
    expect(stack.upstream.requests).toHaveLength(3);
  });
});

describe("US3: versions side by side", () => {
  test("US3.1, US3.2: v1 looks at the token, v2 at its scopes too", async () => {
    const reader = await bearer({ scope: "orders:read" });
    const nobody = await bearer();
    expect(await statuses("/private", reader, nobody)).toEqual([200, 200]);
    expect(await statuses("/v2", reader, nobody)).toEqual([200, 403]);
    expect((await stack.get("/v2", nobody)).header("www-authenticate")).toBe(
      'Bearer realm="api", error="insufficient_scope", scope="orders:read"',
    );
  });

  test("US3.2: tokens in cookies and queries, which the upstream does not see", async () => {
    const jwtText = await token();
    const cookie = (await stack.get("/cookie?a=1", [["cookie", `a=1; session=${jwtText}`]])).echo();
    expect([cookie.header("cookie"), cookie.path]).toEqual(["a=1", "/cookie?a=1"]);
    const query = (await stack.get(`/cookie?a=1&token=${jwtText}`)).echo();
    expect(query.path).toBe("/cookie?a=1");
    const both = await stack.get(`/cookie?token=${jwtText}`, [["cookie", `session=${jwtText}`]]);
    expect(both.status).toBe(400);
    expect(await statuses("/cookie", await bearer())).toEqual([401]);
  });

  test("US3.2: CEL about token and request", async () => {
    const acme = await bearer({ tenant: "acme" });
    expect(await statuses("/rules", [...acme, ["x-tenant", "acme"]])).toEqual([200]);
    expect(await statuses("/rules", [...acme, ["x-tenant", "globex"]], acme, await bearer())).toEqual([
      403, 403, 403,
    ]);
  });
});

describe("US4: conditions", () => {
  test("US4.1: no token is asked for outside of /api/", async () => {
    expect(await statuses("/shop/health", [])).toEqual([200]);
    expect(await statuses("/shop/api/users", [], await bearer())).toEqual([401, 200]);
  });

  test("US4.1: however the path is written", async () => {
    for (const path of [
      "/shop/%61pi/users",
      "/shop//api/users",
      "/shop/x/../api/users",
      "/shop/./api/users",
    ]) {
      expect([path, (await stack.get(path)).status]).toEqual([path, 401]);
    }
  });

  test("edge: a condition that cannot be evaluated does not open the route", async () => {
    expect(await statuses("/failing", [], await bearer())).toEqual([500, 500]);
    expect(stack.upstream.requests).toEqual([]);
  });

  test("US4.4, US7.3: a condition about what the token says", async () => {
    const gold = await bearer({ sub: "gold", tier: "gold" });
    const iron = await bearer({ sub: "iron", tier: "iron" });
    expect(await statuses("/tiers", gold, gold, gold, iron, iron)).toEqual([200, 200, 200, 200, 429]);
  });
});

describe("US7: policies tell each other", () => {
  test("US7.1: the rate limit is per user, whichever of the user's tokens comes", async () => {
    const alice = [
      await bearer({ sub: "a" }),
      await bearer({ sub: "a", jti: "2" }),
      await bearer({ sub: "a", jti: "3" }),
    ];
    const bob = await bearer({ sub: "b" });
    expect(await statuses("/limited", ...alice, bob, bob, bob)).toEqual([200, 200, 429, 200, 200, 429]);
  });

  test("US7.2: the response phase reads what the request phase left", async () => {
    const response = await stack.get("/both", await bearer({ sub: "carol" }));
    expect([response.echo().header("x-recalled"), response.header("x-recalled")]).toEqual(["carol", "carol"]);
  });

  test("US7.4: the last writer wins", async () => {
    const response = await stack.get("/last", await bearer());
    expect([response.echo().header("x-recalled"), response.header("x-recalled")]).toEqual([
      "someone-else",
      "someone-else",
    ]);
  });
});

describe("what arrives on the wire", () => {
  test("two Authorization headers never pass", async () => {
    const good = await bearer();
    const answers = [
      await stack.get("/private", [...good, ...good]),
      await stack.get("/private", [...good, ["authorization", "Bearer x"]]),
      await stack.get("/private", [["authorization", "Basic YTpi"], ...good]),
    ];
    for (const { status } of answers) expect([400, 401]).toContain(status);
    expect(stack.upstream.requests).toEqual([]);
  });

  test("bytes that are no text, and a huge token", async () => {
    const bytes = "Bearer \xff\xfe.\x80.\xc3\x28";
    const huge = `Bearer ${"x".repeat(20_000)}`;
    expect(await statuses("/private", [["authorization", bytes]], [["authorization", huge]])).toEqual([
      401, 401,
    ]);
  });
});

test("FR-051: all of this took one request for keys for each version, and no token went into the log", async () => {
  expect(server.requests).toHaveLength(2);
  expect(stack.engine.output()).not.toContain("eyJ");
});
