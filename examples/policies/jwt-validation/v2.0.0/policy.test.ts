import { beforeAll, describe, expect, test } from "bun:test";
import { type TestChain, testPolicy } from "@policy-engine/testing";
import { exportJWK, generateKeyPair, SignJWT } from "jose";
import * as policy from "./policy.ts";

const definition = import.meta.url;
const ISSUER = "https://issuer.example/";
/** Beyond the end of these tests, and the same for all of them. */
const EXP = Math.floor(Date.now() / 1000) + 3600;

let jwks: string;
let sign: (claims?: object) => Promise<string>;

beforeAll(async () => {
  const { publicKey, privateKey } = await generateKeyPair("ES256", { extractable: true });
  jwks = JSON.stringify({ keys: [await exportJWK(publicKey)] });
  sign = (claims = {}) =>
    new SignJWT({ iss: ISSUER, aud: "orders", sub: "alice", exp: EXP, ...claims })
      .setProtectedHeader({ alg: "ES256" })
      .sign(privateKey);
});

function jwt(more: object = {}): Promise<TestChain> {
  const params = { issuers: [{ issuer: ISSUER, audiences: ["orders"], jwks }], ...more };
  return testPolicy(policy, { definition, params });
}

/** What a request with a token of these claims comes to: a reason, or `passed`. */
async function outcome(params: object, claims: object): Promise<string> {
  await using chain = await jwt(params);
  const headers = { authorization: `Bearer ${await sign(claims)}` };
  const first = await chain.request({ headers });
  // The same from memory.
  const second = await chain.request({ headers });
  expect(second.answer?.reason).toBe(first.answer?.reason as string);
  return first.answer?.reason ?? first.outcome;
}

describe("US3.2: where the token may be", () => {
  test("Authorization: Bearer, by default", async () => {
    await using chain = await jwt();
    const exchange = await chain.request({ headers: { authorization: `Bearer ${await sign()}` } });
    expect([exchange.outcome, exchange.changes]).toEqual(["passed", { authorization: null }]);
    expect((await chain.request()).answer).toMatchObject({ status: 401, reason: "token_missing" });
  });

  const places: [what: string, place: object, request: (token: string) => object, changes: object][] = [
    ["a header", { header: "X-Token" }, (t) => ({ headers: { "x-token": t } }), { "x-token": null }],
    [
      "a header with a prefix",
      { header: "authorization", prefix: "JWT" },
      (t) => ({ headers: { authorization: `jwt  ${t}` } }),
      { authorization: null },
    ],
    [
      "a prefix that looks like a pattern",
      { header: "x-token", prefix: "a.*(" },
      (t) => ({ headers: { "x-token": `a.*( ${t}` } }),
      { "x-token": null },
    ],
    [
      "the only cookie",
      { cookie: "session" },
      (t) => ({ headers: { cookie: `session=${t}` } }),
      { cookie: null },
    ],
    [
      "a cookie among others",
      { cookie: "session" },
      (t) => ({ headers: { cookie: `a=1; session=${t};b=session; xsession=2` } }),
      { cookie: ["a=1; b=session; xsession=2"] },
    ],
    [
      "a cookie in one line of several",
      { cookie: "session" },
      (t) => ({ headers: { cookie: ["a=1", `session=${t}`] } }),
      { cookie: ["a=1"] },
    ],
    ["the only parameter", { query: "token" }, (t) => ({ path: `/a?token=${t}` }), { ":path": ["/a"] }],
    [
      "a parameter among others, however it is written",
      { query: "token" },
      (t) => ({ path: `/a?x=%41+b&t%6fken=${t}&y` }),
      { ":path": ["/a?x=%41+b&y"] },
    ],
    [
      "a parameter beside one whose name begins with a question mark",
      { query: "token" },
      (t) => ({ path: `/a?x&?token=1&token=${t}` }),
      { ":path": ["/a?x&?token=1"] },
    ],
    [
      "a parameter whose name is no ASCII, as bytes",
      { query: "tøken" },
      (t) => ({ path: `/a?tøken=${t}&y` }),
      { ":path": ["/a?y"] },
    ],
  ];
  test.each(places)("%s, and it is taken away", async (_what, place, request, changes) => {
    await using chain = await jwt({ tokenFrom: [place] });
    const token = await sign();
    for (let round = 0; round < 2; round++) {
      const exchange = await chain.request(request(token));
      expect([exchange.outcome, exchange.changes]).toEqual(["passed", changes as never]);
    }
    await using keeping = await jwt({ tokenFrom: [place], keepToken: true });
    const kept = await keeping.request(request(token));
    expect([kept.outcome, kept.changes]).toEqual(["passed", {}]);
    expect((await chain.request(request(`${token}x`))).answer?.status).toBe(401);
    expect((await chain.request({ headers: { "x-other": token } })).answer?.reason).toBe("token_missing");
  });

  test("headers for claims beside a token that is taken out of cookie or query", async () => {
    const claimHeaders = { "x-user": "sub", "x-none": "none" };
    await using chain = await jwt({ tokenFrom: [{ cookie: "t" }, { query: "t" }], claimHeaders });
    const token = await sign();
    const forged = { "x-user": "root", "x-none": "root" };
    const cookie = await chain.request({ headers: { ...forged, cookie: `t=${token}` } });
    expect(cookie.changes).toEqual({ cookie: null, "x-user": ["alice"], "x-none": null });
    const query = await chain.request({ headers: forged, path: `/?t=${token}` });
    expect(query.changes).toEqual({ ":path": ["/"], "x-user": ["alice"], "x-none": null });
  });

  const all = [
    { header: "authorization", prefix: "Bearer" },
    { header: "x-token" },
    { cookie: "t" },
    { query: "t" },
  ];

  test("any one of several places", async () => {
    await using chain = await jwt({ tokenFrom: all });
    const token = await sign();
    const basic = { authorization: "Basic YTpi" };
    for (const request of [
      { headers: { authorization: `Bearer ${token}` } },
      { headers: { ...basic, "x-token": token } },
      { headers: { ...basic, cookie: `t=${token}` } },
      { headers: basic, path: `/?t=${token}` },
    ]) {
      const exchange = await chain.request(request);
      expect(exchange.outcome).toBe("passed");
      // What is no token stays.
      if (request.headers.authorization === basic.authorization) {
        expect(exchange.headers.get("authorization")).toBe(basic.authorization);
      }
    }
  });

  test("RFC 6750 section 3.1: tokens in two places are refused with 400, be they the same", async () => {
    await using chain = await jwt({ tokenFrom: all });
    const token = await sign();
    const authorization = `Bearer ${token}`;
    for (const request of [
      { headers: { authorization, "x-token": token } },
      { headers: { authorization, cookie: `t=${token}` } },
      { headers: { authorization }, path: `/?t=${token}` },
      { headers: { authorization: [authorization, authorization] } },
      { headers: { authorization: [authorization, "Basic YTpi"] } },
      { headers: { "x-token": [token, token] } },
      { headers: { cookie: `t=${token}; t=${token}` } },
      { path: `/?t=${token}&t=${token}` },
      { headers: { authorization, "x-token": "nonsense" } },
    ]) {
      const { answer } = await chain.request(request);
      expect([answer?.status, answer?.reason]).toEqual([400, "token_repeated"]);
      expect(answer?.headers.get("www-authenticate")).toBe('Bearer realm="api", error="invalid_request"');
    }
  });
});

describe("scopes", () => {
  const scopes = { all: ["orders:read", "orders:write"], any: ["eu", "us"] };

  const cases: [scope: unknown, outcome: string][] = [
    ["orders:read orders:write eu", "passed"],
    ["us x orders:write orders:read", "passed"],
    [["orders:read", "orders:write", "us"], "passed"],
    ["orders:read eu", "scope_insufficient"],
    ["orders:read orders:write", "scope_insufficient"],
    ["orders:read,orders:write,eu", "scope_insufficient"],
    ["Orders:read orders:write eu", "scope_insufficient"],
    ["orders:readorders:write eu", "scope_insufficient"],
    ["", "scope_insufficient"],
    [undefined, "scope_insufficient"],
    [{ "orders:read": true }, "scope_insufficient"],
    [["orders:read orders:write eu"], "scope_insufficient"],
    [7, "scope_insufficient"],
  ];
  test.each(cases)("%j: %s", async (scope, expected) => {
    expect(await outcome({ scopes }, { scope })).toBe(expected);
  });

  test("RFC 6750 section 3.1: 403 names what is needed, and later policies know who it was", async () => {
    await using chain = await jwt({ scopes });
    const exchange = await chain.request({ headers: { authorization: `Bearer ${await sign()}` } });
    expect(exchange.answer).toMatchObject({ status: 403, body: "Token not sufficient" });
    expect(exchange.answer?.headers.get("www-authenticate")).toBe(
      'Bearer realm="api", error="insufficient_scope", scope="orders:read orders:write eu us"',
    );
    expect(exchange.metadata.get("auth")).toMatchObject({ subject: "alice" });
  });

  test("of another claim", async () => {
    const wanted = { all: ["a"], claim: "/app/scp" };
    expect(await outcome({ scopes: wanted }, { app: { scp: ["a"] } })).toBe("passed");
    expect(await outcome({ scopes: wanted }, { scope: "a" })).toBe("scope_insufficient");
  });
});

describe("required claims", () => {
  const cases: [rule: object, claims: object, outcome: string][] = [
    [{ claim: "tenant" }, { tenant: "acme" }, "passed"],
    [{ claim: "tenant" }, { tenant: false }, "passed"],
    [{ claim: "tenant" }, { tenant: null }, "claim_refused"],
    [{ claim: "tenant" }, {}, "claim_refused"],
    [{ claim: "toString" }, {}, "claim_refused"],
    [{ claim: "tenant", oneOf: ["acme", "globex"] }, { tenant: "globex" }, "passed"],
    [{ claim: "tenant", oneOf: ["acme"] }, { tenant: "acme2" }, "claim_refused"],
    [{ claim: "tenant", oneOf: ["acme"] }, { tenant: ["acme"] }, "claim_refused"],
    [{ claim: "level", oneOf: [1, 2] }, { level: 2 }, "passed"],
    [{ claim: "level", oneOf: [1, 2] }, { level: "2" }, "claim_refused"],
    [{ claim: "admin", oneOf: [true] }, { admin: true }, "passed"],
    [{ claim: "admin", oneOf: [true] }, { admin: "true" }, "claim_refused"],
    [{ claim: "/realm/roles", contains: ["dev"] }, { realm: { roles: ["dev", "ops"] } }, "passed"],
    [{ claim: "/realm/roles", contains: ["dev", "ops"] }, { realm: { roles: ["dev"] } }, "claim_refused"],
    [{ claim: "/realm/roles", contains: ["dev"] }, { realm: { roles: "dev" } }, "claim_refused"],
    [{ claim: "/realm/roles", contains: ["dev"] }, { realm: { roles: [["dev"]] } }, "claim_refused"],
    [{ claim: "/a~1b/m~0n/0" }, { "a/b": { "m~n": ["x"] } }, "passed"],
  ];
  test.each(cases)("%j of %j: %s", async (rule, claims, expected) => {
    expect(await outcome({ requiredClaims: [rule] }, claims)).toBe(expected);
  });

  test("all of them", async () => {
    const requiredClaims = [{ claim: "a" }, { claim: "b" }];
    expect(await outcome({ requiredClaims }, { a: 1, b: 1 })).toBe("passed");
    expect(await outcome({ requiredClaims }, { a: 1 })).toBe("claim_refused");
  });
});

describe("rules", () => {
  test("see the token's claims and the request, each time anew", async () => {
    const rules = ['auth.claims.tenant == request.headers["x-tenant"]', 'auth.subject != "mallory"'];
    await using chain = await jwt({ rules });
    const ask = async (claims: object, tenant: string) => {
      const headers = { authorization: `Bearer ${await sign(claims)}`, "x-tenant": tenant };
      const { answer, outcome } = await chain.request({ headers });
      return answer?.reason ?? outcome;
    };
    expect(await ask({ tenant: "acme" }, "acme")).toBe("passed");
    expect(await ask({ tenant: "acme" }, "globex")).toBe("rule_refused");
    expect(await ask({ tenant: "acme" }, "acme")).toBe("passed");
    expect(await ask({ tenant: "acme", sub: "mallory" }, "acme")).toBe("rule_refused");
  });

  test.each([
    "auth.claims.level >= 2",
    "auth.claims.level == 2",
    "auth.claims.level == 2.0",
    '"a" in auth.claims.list',
  ])("%s", async (rule) => {
    expect(await outcome({ rules: [rule] }, { level: 2, list: ["a"] })).toBe("passed");
    expect(await outcome({ rules: [rule] }, { level: 1, list: ["b"] })).toBe("rule_refused");
  });

  test("one token, from memory, for two requests: each is decided for itself", async () => {
    await using chain = await jwt({ rules: ['request.method == "GET"'] });
    const headers = { authorization: `Bearer ${await sign()}` };
    const outcomes: unknown[] = [];
    for (const method of ["GET", "POST", "GET"]) {
      outcomes.push((await chain.request({ headers, method })).answer?.status);
    }
    expect(outcomes).toEqual([undefined, 403, undefined]);
  });

  test.each(["auth.claims.none == 1", "auth.claims.sub", 'auth.claims.sub > 7 || auth.claims.x == "a"'])(
    "%s, which has no value or is no bool, lets nothing pass",
    async (rule) => {
      expect(await outcome({ rules: [rule] }, {})).toBe("rule_refused");
    },
  );
});

describe("US8: refuses parameters", () => {
  const refused: [what: string, params: object, message: string][] = [
    [
      "US8.1: an HTTP URL",
      { issuers: [{ issuer: "a", audiences: [], jwksUrl: "http://a/" }] },
      "must be HTTPS",
    ],
    ["no place", { tokenFrom: [] }, "/tokenFrom"],
    ["a place that is none", { tokenFrom: [{}] }, "tokenFrom[0] needs one of"],
    ["a place that is two", { tokenFrom: [{ header: "a", cookie: "b" }] }, "tokenFrom[0] needs one of"],
    [
      "a place twice",
      { tokenFrom: [{ header: "A" }, { header: "a" }] },
      "tokenFrom[1] is a place that stands there twice",
    ],
    ["a prefix of a cookie", { tokenFrom: [{ cookie: "a", prefix: "b" }] }, "which only a header has"],
    [
      "a header that cannot go",
      { tokenFrom: [{ header: "Host" }] },
      '"host", a header that can be taken away',
    ],
    ["all cookies", { tokenFrom: [{ header: "Cookie" }] }, '"cookie", a header that can be taken away'],
    [
      "a claim into the token's header",
      { tokenFrom: [{ header: "X-Token" }], claimHeaders: { "x-token": "sub" } },
      '"x-token" carries the token',
    ],
    [
      "a claim into cookies",
      { tokenFrom: [{ cookie: "t" }], claimHeaders: { cookie: "sub" } },
      '"cookie" carries the token',
    ],
    ["a scope with a blank", { scopes: { all: ["a b"] } }, "A scope of"],
    ["a scope with a quote", { scopes: { any: ['a"'] } }, "A scope of"],
    ["a claim rule without claim", { requiredClaims: [{ oneOf: ["a"] }] }, "claim"],
    ["a claim rule with nothing to be", { requiredClaims: [{ claim: "a", oneOf: [] }] }, "oneOf"],
    ["US8.2: rules that are no CEL", { rules: ["true", "a b", "1"] }, "Cannot use rules[1]"],
    [
      "a rule that is never a bool",
      { rules: ["1 + 1"] },
      "Cannot use rules[0]: it is of type int, a bool is needed",
    ],
    ["a rule about a body, which is not there", { rules: ['request.body == ""'] }, "rules[0]"],
    ["a rule about the response", { rules: ["response.status == 200"] }, "rules[0]"],
  ];
  test.each(refused)("%s", async (_what, params, message) => {
    await expect(jwt(params)).rejects.toThrow(message);
  });
});
