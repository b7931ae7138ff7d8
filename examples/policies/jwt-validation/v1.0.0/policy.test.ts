import { afterEach, beforeAll, describe, expect, setSystemTime, test } from "bun:test";
import type { RequestResult } from "@policy-engine/sdk";
import { type TestChain, testChain, testPolicy } from "@policy-engine/testing";
import { exportJWK, generateKeyPair, SignJWT } from "jose";
import * as policy from "./policy.ts";

const definition = import.meta.url;
const ISSUER = "https://issuer.example/";
const AUDIENCE = "orders";

/** One key of an issuer, and tokens signed with it. */
interface TestIssuer {
  readonly kid: string;
  readonly jwks: string;
  sign(claims: object, header?: object): Promise<string>;
}

let issuer: TestIssuer;

beforeAll(async () => {
  issuer = await testIssuer();
});
afterEach(() => void setSystemTime());

function params(more: object = {}): object {
  return { issuers: [{ issuer: ISSUER, audiences: [AUDIENCE], jwks: issuer.jwks }], ...more };
}

function jwt(more: object = {}): Promise<TestChain> {
  return testPolicy(policy, { definition, params: params(more) });
}

function claims(more: object = {}): object {
  return { iss: ISSUER, aud: AUDIENCE, sub: "alice", exp: inSeconds(300), ...more };
}

async function bearer(more: object = {}): Promise<{ authorization: string }> {
  return { authorization: `Bearer ${await issuer.sign(claims(more))}` };
}

describe("FR-048: lets valid tokens pass", () => {
  test("and takes the token away, by default", async () => {
    await using chain = await jwt();
    const exchange = await chain.request({ headers: await bearer() });
    expect(exchange.outcome).toBe("passed");
    expect(exchange.changes).toEqual({ authorization: null });
  });

  test("keepToken leaves it", async () => {
    await using chain = await jwt({ keepToken: true });
    const exchange = await chain.request({ headers: await bearer() });
    expect([exchange.outcome, exchange.changes]).toEqual(["passed", {}]);
  });

  test.each(["bearer ", "BEARER  ", "Bearer   "])("the scheme may be written %j", async (scheme) => {
    await using chain = await jwt();
    const token = await issuer.sign(claims());
    expect((await chain.request({ headers: { authorization: scheme + token } })).outcome).toBe("passed");
  });

  test.each(["RS256", "RS512", "PS256", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519"])(
    "signed with %s",
    async (alg) => {
      const other = await testIssuer(alg);
      await using chain = await jwt({
        issuers: [{ issuer: ISSUER, audiences: [AUDIENCE], jwks: other.jwks }],
      });
      const authorization = `Bearer ${await other.sign(claims())}`;
      expect((await chain.request({ headers: { authorization } })).outcome).toBe("passed");
    },
  );

  test("of several issuers, each with its own keys, audiences and subjects", async () => {
    const other = await testIssuer("EdDSA");
    const issuers = [
      { issuer: ISSUER, audiences: [AUDIENCE], jwks: issuer.jwks },
      { issuer: "partner", audiences: ["a", "b"], jwks: other.jwks },
    ];
    await using chain = await jwt({ issuers });
    const ask = async (token: string) => {
      const exchange = await chain.request({ headers: { authorization: `Bearer ${token}` } });
      return exchange.answer?.reason ?? exchange.outcome;
    };
    expect(await ask(await issuer.sign(claims()))).toBe("passed");
    expect(await ask(await other.sign(claims({ iss: "partner", aud: ["x", "b"] })))).toBe("passed");
    // One issuer's key says nothing about another's tokens.
    expect(await ask(await other.sign(claims()))).toBe("key_unknown");
    expect(await ask(await other.sign(claims(), { kid: issuer.kid }))).toBe("key_unknown");
    expect(await ask(await issuer.sign(claims({ iss: "partner", aud: "a" })))).toBe("key_unknown");
    expect(await ask(await other.sign(claims({ iss: "partner" })))).toBe("audience_mismatch");
  });

  test("with keys from an environment variable", async () => {
    const issuers = [{ issuer: ISSUER, audiences: [AUDIENCE], jwks: { fromEnv: "KEYS" } }];
    const options = { definition, params: { issuers }, env: { KEYS: issuer.jwks } };
    await using chain = await testPolicy(policy, options);
    expect((await chain.request({ headers: await bearer() })).outcome).toBe("passed");
  });

  test("whoever they are for, with an empty list of audiences", async () => {
    await using chain = await jwt({ issuers: [{ issuer: ISSUER, audiences: [], jwks: issuer.jwks }] });
    for (const aud of [undefined, "anything", ["a"], 7]) {
      expect((await chain.request({ headers: await bearer({ aud }) })).outcome).toBe("passed");
    }
  });
});

describe("who it is", () => {
  test("US7.1: later policies read subject and claims, in both phases", async () => {
    const later = () => {
      const read = (ctx: { metadata: Map<string, unknown> }): RequestResult => ({
        setHeaders: { "x-auth": JSON.stringify([ctx.metadata.get("auth"), ctx.metadata.get("user")]) },
      });
      return { onRequest: read, onResponse: read };
    };
    const own = { policy, definition, params: params({ claimMetadata: { user: "sub", none: "none" } }) };
    await using chain = await testChain([own, { policy: later }]);
    const said = claims({ roles: ["a", "b"] });
    const exchange = await chain.request({ headers: { authorization: `Bearer ${await issuer.sign(said)}` } });
    const expected = [{ subject: "alice", scheme: "jwt", claims: said }, "alice"];
    expect(JSON.parse(exchange.headers.get("x-auth")!)).toEqual(expected);
    expect(exchange.metadata.has("none")).toBe(false);
    const response = await exchange.response();
    expect(JSON.parse(response.headers.get("x-auth")!)).toEqual(expected);
  });

  test("what requests share cannot be changed by one of them", async () => {
    await using chain = await jwt();
    const { metadata } = await chain.request({ headers: await bearer({ deep: { list: [{ a: 1 }] } }) });
    const auth = metadata.get("auth") as { claims: { deep: { list: { a: number }[] } } };
    expect(() => {
      auth.claims.deep.list[0]!.a = 2;
    }).toThrow(TypeError);
    expect(() => auth.claims.deep.list.push({ a: 3 })).toThrow(TypeError);
  });

  test("a token without subject has the empty one", async () => {
    await using chain = await jwt();
    const { metadata } = await chain.request({ headers: await bearer({ sub: undefined }) });
    expect(metadata.get("auth")).toMatchObject({ subject: "" });
  });

  test("a refused token leaves nothing in the metadata", async () => {
    await using chain = await jwt({ claimMetadata: { user: "sub" } });
    const { metadata } = await chain.request({ headers: await bearer({ aud: "other" }) });
    expect([...metadata.keys()]).toEqual([]);
  });
});

describe("FR-050: claims as headers", () => {
  const claimHeaders = {
    "X-User-Id": "sub",
    "x-roles": "/realm_access/roles",
    "x-mail": "https://a.example/mail",
  };

  test("also nested ones, and ones whose names are URLs", async () => {
    await using chain = await jwt({ claimHeaders });
    const more = { realm_access: { roles: ["admin", "dev"] }, "https://a.example/mail": "a@example.org" };
    expect((await chain.request({ headers: await bearer(more) })).changes).toEqual({
      authorization: null,
      "x-user-id": ["alice"],
      "x-roles": ["admin,dev"],
      "x-mail": ["a@example.org"],
    });
  });

  test("a client's own copies never reach the upstream, also where the token has no value", async () => {
    await using chain = await jwt({ claimHeaders });
    const forged = { "x-user-id": ["root", "admin"], "X-ROLES": "admin", "x-mail": "root@example.org" };
    for (let round = 0; round < 2; round++) {
      const exchange = await chain.request({ headers: { ...(await bearer()), ...forged } });
      expect([...exchange.headers.entries()]).toEqual([["x-user-id", "alice"]]);
    }
  });

  const values: [what: string, claim: unknown, header: string | null][] = [
    ["CR, LF and NUL", "a\r\nx-admin: 1\0", "a%0D%0Ax-admin: 1%00"],
    ["what is not ASCII", "Zoë 🚀", "Zo%C3%AB %F0%9F%9A%80"],
    ["half a surrogate pair", "a\ud800", "a%EF%BF%BD"],
    ["the escape sign", "100%", "100%25"],
    ["outer blanks", "  a b ", "%20%20a b%20"],
    ["many inner blanks", `a${" ".repeat(4000)}b `, `a${" ".repeat(4000)}b%20`],
    ["a tab and DEL", "a\tb\x7f", "a%09b%7F"],
    ["a number", 42.5, "42.5"],
    ["a number that JSON has rounded", 2 ** 60, null],
    ["a boolean", false, "false"],
    ["a comma", "a,b", "a,b"],
    ["a list with a comma in it", ["a,b", 1, true], "a%2Cb,1,true"],
    ["a list of objects", [{}], null],
    ["a list with nothing in it", [], null],
    ["a list with an empty text", ["a", ""], null],
    ["an object", { a: 1 }, null],
    ["null", null, null],
    ["an empty text", "", null],
  ];
  test.each(values)("%s", async (_what, claim, header) => {
    await using chain = await jwt({ claimHeaders: { "x-claim": "claim" } });
    const exchange = await chain.request({ headers: { ...(await bearer({ claim })), "x-claim": "forged" } });
    expect(exchange.outcome).toBe("passed");
    expect(exchange.headers.get("x-claim") ?? null).toBe(header);
    if (typeof claim === "string" && header !== null) {
      expect(decodeURIComponent(header)).toBe(claim.replace("\ud800", "\ufffd"));
    }
  });

  test("a claim with the name of an object's method is only a claim", async () => {
    await using chain = await jwt({
      claimMetadata: { c: "constructor" },
      claimHeaders: { "x-a": "constructor", "x-b": "/a/toString", "x-c": "__proto__" },
    });
    const exchange = await chain.request({ headers: await bearer({ a: {} }) });
    expect(exchange.metadata.has("c")).toBe(false);
    expect(exchange.changes).toEqual({ authorization: null });
  });
});

describe("verified tokens are remembered", () => {
  test("so that the second request waits for nothing", async () => {
    await using chain = await jwt({ claimHeaders: { "x-user": "sub" } });
    const headers = await bearer();
    const first = await chain.request({ headers });
    // A signature is not verified without a promise: nothing of it may be pending here.
    let done = false;
    const second = chain.request({ headers }).then((exchange) => {
      done = true;
      return exchange;
    });
    for (let turn = 0; turn < 10 && !done; turn++) await Promise.resolve();
    expect(done).toBe(true);
    expect((await second).changes).toEqual(first.changes);
    expect((await second).metadata.get("auth")).toBe(first.metadata.get("auth"));
  });

  test("but never beyond their expiry and the clock skew", async () => {
    setSystemTime(new Date("2026-01-01T00:00:00Z"));
    await using chain = await jwt({ clockSkew: "2s" });
    const headers = await bearer({ exp: inSeconds(10) });
    const ask = async () => (await chain.request({ headers })).answer?.reason;
    expect(await ask()).toBeUndefined();
    setSystemTime(new Date("2026-01-01T00:00:11.999Z"));
    expect(await ask()).toBeUndefined();
    setSystemTime(new Date("2026-01-01T00:00:12Z"));
    expect(await ask()).toBe("token_expired");
  });

  test.each([0, 2, 4])("at most as many as cacheSize says: %d", async (cacheSize) => {
    await using chain = await jwt({ cacheSize });
    const all = await Promise.all(["a", "b", "c", "d", "e"].map((sub) => bearer({ sub })));
    for (let round = 0; round < 2; round++) {
      for (const headers of all) expect((await chain.request({ headers })).outcome).toBe("passed");
    }
  });
});

describe("US8: refuses parameters", () => {
  const at = (more: object) => ({ issuers: [{ issuer: ISSUER, audiences: [], ...more }] });
  const refused: [what: string, params: () => object, message: string][] = [
    ["US8.1: an HTTP URL", () => at({ jwksUrl: "http://issuer.example/jwks" }), "jwksUrl must be HTTPS"],
    ["a URL that is none", () => at({ jwksUrl: "https://" }), "jwksUrl"],
    ["a URL with a password", () => at({ jwksUrl: "https://a:b@c.example/" }), "has a user, a password"],
    ["US8.4: no issuers", () => ({ issuers: undefined }), "issuers"],
    ["an empty list of them", () => ({ issuers: [] }), "/issuers"],
    ["US8.4: an issuer without name", () => ({ issuers: [{ audiences: [] }] }), "issuer"],
    ["US8.4: an issuer without audiences", () => ({ issuers: [{ issuer: "a" }] }), "audiences"],
    [
      "an issuer twice",
      () => ({ issuers: [...Array(2)].map(() => at({ jwks: issuer.jwks }).issuers[0]) }),
      "issuers[1].issuer",
    ],
    ["no keys", () => at({}), "neither jwksUrl and jwks"],
    ["keys twice", () => at({ jwks: issuer.jwks, jwksUrl: "https://a.example/" }), "both jwksUrl and jwks"],
    ["keys that are no JSON", () => at({ jwks: "<html>" }), "it is not JSON"],
    ["keys that are no set", () => at({ jwks: "[]" }), "no JWK Set"],
    ["a set without a key", () => at({ jwks: '{"keys":[]}' }), "none of its 0 keys"],
    ["too many keys", () => at({ jwks: JSON.stringify({ keys: Array(101).fill({}) }) }), "at most 100"],
    [
      "a secret, where no algorithm takes one",
      () => at({ jwks: JSON.stringify({ keys: [{ kty: "oct", k: "A".repeat(64) }] }) }),
      "none of its 1 keys",
    ],
    ["none as algorithm", () => ({ algorithms: ["none"] }), "/algorithms/0"],
    ["no algorithm", () => ({ algorithms: [] }), "/algorithms"],
    ["US8.3: a duration that is none", () => ({ clockSkew: "half an hour" }), "A whole number with"],
    ["US8.2: a clock skew out of range", () => ({ clockSkew: "11m" }), "clockSkew must be from 0s to 10m"],
    [
      "a refresh that is too often",
      () => ({ refreshInterval: "1s" }),
      "refreshInterval must be from 10s to 24h",
    ],
    [
      "keys that are kept too short",
      () => ({ keepKeysFor: "1m" }),
      "keepKeysFor is shorter than refreshInterval",
    ],
    [
      "a header that cannot be set",
      () => ({ claimHeaders: { Host: "sub" } }),
      '"host" is a header that a policy cannot change',
    ],
    [
      "the token's header",
      () => ({ claimHeaders: { Authorization: "sub" } }),
      '"authorization" carries the token',
    ],
    ["a header twice", () => ({ claimHeaders: { "X-A": "sub", "x-a": "iss" } }), '"x-a" is named for two'],
    [
      "the key of the metadata that is set anyway",
      () => ({ claimMetadata: { auth: "sub" } }),
      '"auth" of claimMetadata',
    ],
    ["a realm that ends its quotes", () => ({ realm: 'a", error="' }), "A realm of"],
    ["what it does not know", () => ({ audience: "a" }), "audience"],
  ];
  test.each(refused)("%s", async (_what, more, message) => {
    await expect(jwt(more())).rejects.toThrow(message);
  });

  test("and never quotes a key", async () => {
    const secret = "c2VjcmV0LXNlY3JldA";
    const jwks = JSON.stringify({ keys: [{ kty: "oct", k: secret }] });
    const made = jwt({ algorithms: ["HS256"], issuers: [{ issuer: ISSUER, audiences: [], jwks }] });
    const error = await made.catch((cause: unknown) => cause);
    expect(String(error)).toContain("Cannot use jwks");
    expect(String(error)).not.toContain(secret);
  });
});

async function testIssuer(alg = "ES256"): Promise<TestIssuer> {
  const { publicKey, privateKey } = await generateKeyPair(alg, { extractable: true });
  const kid = `key-of-${alg}`;
  const jwks = JSON.stringify({ keys: [{ ...(await exportJWK(publicKey)), kid }] });
  const sign = (said: object, header: object = {}) =>
    new SignJWT({ ...said }).setProtectedHeader({ alg, kid, ...header }).sign(privateKey);
  return { kid, jwks, sign };
}

/** Whole seconds since 1970, from now. */
function inSeconds(offset: number): number {
  return Math.floor(Date.now() / 1000) + offset;
}
