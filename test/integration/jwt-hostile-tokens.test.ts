// What is not a valid token never passes, whatever it looks like, and its sender learns nothing but that.
import { afterEach, beforeAll, describe, expect, setSystemTime, test } from "bun:test";
import { resolve } from "node:path";
import { type TestChain, testPolicy } from "@policy-engine/testing";
import fc from "fast-check";
import { CompactEncrypt, exportSPKI, generateKeyPair, importJWK, SignJWT } from "jose";
import * as v1 from "../../examples/policies/jwt-validation/v1.0.0/policy.ts";
import * as v2 from "../../examples/policies/jwt-validation/v2.0.0/policy.ts";
import { base64url, inSeconds, TestIssuer } from "../helpers/tokens.ts";

/** Both versions, as whoever moves from one to the other must not lose any of this. */
const VERSIONS = [
  ["v1.0.0", v1],
  ["v2.0.0", v2],
] as const;
const FOLDER = resolve(import.meta.dir, "../../examples/policies/jwt-validation");
const ISSUER = "https://issuer.example/";

let issuer: TestIssuer;
let rsa: TestIssuer;

beforeAll(async () => {
  [issuer, rsa] = await Promise.all([TestIssuer.create(), TestIssuer.create("RS256")]);
});
afterEach(() => void setSystemTime());

describe.each(VERSIONS)("jwt-validation %s", (version, policy) => {
  function jwt(more: object = {}): Promise<TestChain> {
    const jwks = JSON.stringify({ keys: [issuer.jwk, rsa.jwk] });
    const issuers = [{ issuer: ISSUER, audiences: ["orders"], jwks }];
    return testPolicy(policy, { definition: `${FOLDER}/${version}`, params: { issuers, ...more } });
  }

  function claims(more: object = {}): Record<string, unknown> {
    return { iss: ISSUER, aud: "orders", sub: "alice", exp: inSeconds(300), ...more };
  }

  /** What a request with this token, or these headers, is refused for. */
  async function refusal(
    credentials: string | Record<string, string | string[]>,
    more: object = {},
  ): Promise<[number | undefined, string | undefined]> {
    await using chain = await jwt(more);
    const headers =
      typeof credentials === "string" ? { authorization: `Bearer ${credentials}` } : credentials;
    const { answer, changes } = await chain.request({ headers });
    expect(changes).toEqual(answer === undefined ? { authorization: null } : {});
    if (answer?.status === 401 && answer.reason !== "token_missing") {
      expect(answer.headers.get("www-authenticate")).toBe('Bearer realm="api", error="invalid_token"');
      expect(answer.body).toBe("Token not valid");
    }
    return [answer?.status, answer?.reason];
  }

  describe("no token", () => {
    test("US1.1: none at all: 401 with a challenge that names no error", async () => {
      await using chain = await jwt({ realm: "Orders API" });
      const { answer } = await chain.request();
      expect([answer?.status, answer?.reason, answer?.body]).toEqual([
        401,
        "token_missing",
        "Bearer token required",
      ]);
      expect(answer?.headers.get("www-authenticate")).toBe('Bearer realm="Orders API"');
    });

    test.each(["", "Bearer", "Basic YTpi", "Token abc", "Bearerabc"])(
      "Authorization: %j",
      async (authorization) => {
        expect(await refusal({ authorization })).toEqual([401, "token_missing"]);
      },
    );

    test("two headers: 400, be both of them good", async () => {
      const authorization = `Bearer ${await issuer.sign(claims())}`;
      await using chain = await jwt();
      const { answer } = await chain.request({ headers: { authorization: [authorization, authorization] } });
      expect([answer?.status, answer?.reason]).toEqual([400, "token_repeated"]);
      expect(answer?.headers.get("www-authenticate")).toBe('Bearer realm="api", error="invalid_request"');
    });

    test("two headers that a proxy has joined", async () => {
      const token = await issuer.sign(claims());
      expect(await refusal(`${token}, Bearer ${token}`)).toEqual([401, "token_malformed"]);
      expect(await refusal(`${token},${token}`)).toEqual([401, "token_malformed"]);
    });
  });

  describe("algorithms", () => {
    test.each(["none", "None", "NONE", ""])("alg %j without signature", async (alg) => {
      const head = base64url(JSON.stringify({ alg }));
      const body = base64url(JSON.stringify(claims()));
      expect(await refusal(`${head}.${body}.`)).toEqual([401, "token_malformed"]);
      expect(await refusal(`${head}.${body}.AA`)).toEqual([401, "algorithm_refused"]);
    });

    test("HS256 with the public key as secret", async () => {
      const publicKey = await importJWK(rsa.jwk, "RS256", { extractable: true });
      const secrets = [await exportSPKI(publicKey as CryptoKey), JSON.stringify(rsa.jwk), rsa.jwk.n!];
      for (const secret of secrets) {
        for (const kid of [rsa.kid, undefined]) {
          const header = { alg: "HS256", ...(kid && { kid }) };
          const token = await new SignJWT(claims())
            .setProtectedHeader(header)
            .sign(new TextEncoder().encode(secret));
          expect(await refusal(token)).toEqual([401, "algorithm_refused"]);
          // Even where it is allowed, a public key is never a secret.
          expect(await refusal(token, { algorithms: ["RS256", "HS256"] })).toEqual([401, "key_unknown"]);
        }
      }
    });

    test("one that is not on the list", async () => {
      expect(await refusal(await issuer.sign(claims()), { algorithms: ["RS256"] })).toEqual([
        401,
        "algorithm_refused",
      ]);
    });

    test("one that its key is not for", async () => {
      const token = await issuer.signRaw(
        JSON.stringify({ alg: "ES384", kid: issuer.kid }),
        JSON.stringify(claims()),
      );
      expect(await refusal(token)).toEqual([401, "key_unknown"]);
    });

    test("HS256 passes with a secret that is long enough and asked for, and not with another", async () => {
      const secret = crypto.getRandomValues(new Uint8Array(32));
      const jwks = JSON.stringify({ keys: [{ kty: "oct", k: base64url(secret) }] });
      const more = { algorithms: ["HS256"], issuers: [{ issuer: ISSUER, audiences: ["orders"], jwks }] };
      const sign = (key: Uint8Array) => new SignJWT(claims()).setProtectedHeader({ alg: "HS256" }).sign(key);
      expect(await refusal(await sign(secret), more)).toEqual([undefined, undefined]);
      expect(await refusal(await sign(new Uint8Array(32)), more)).toEqual([401, "signature_invalid"]);
    });
  });

  describe("headers of tokens", () => {
    const signed = (header: object) => issuer.signRaw(JSON.stringify(header), JSON.stringify(claims()));

    test("keys and addresses in them are not looked at", async () => {
      const attacker = await TestIssuer.create();
      const { kid: _, ...jwk } = attacker.jwk;
      const traps = {
        jwk,
        jku: "https://attacker.example/jwks",
        x5u: "https://attacker.example/",
        x5c: ["AA"],
      };
      for (const kid of [issuer.kid, attacker.kid, "nobody"]) {
        const token = await attacker.sign(claims(), { header: { ...traps, kid } });
        const expected = kid === "nobody" ? "key_unknown" : "signature_invalid";
        expect(await refusal(token)).toEqual([401, expected]);
      }
      expect(await refusal(await issuer.sign(claims(), { header: traps }))).toEqual([undefined, undefined]);
    });

    test("a kid is only compared", async () => {
      const kids = [
        "../../../dev/null",
        "' OR 1=1 --",
        "__proto__",
        "constructor",
        "\0",
        "é",
        "a".repeat(2000),
        "",
      ];
      for (const kid of kids)
        expect(await refusal(await signed({ alg: "ES256", kid }))).toEqual([401, "key_unknown"]);
      for (const kid of [7, null, {}, ["ES256-1"]]) {
        expect(await refusal(await signed({ alg: "ES256", kid }))).toEqual([401, "token_malformed"]);
      }
    });

    test("none is needed where one key can be meant", async () => {
      expect(await refusal(await signed({ alg: "ES256" }))).toEqual([undefined, undefined]);
    });

    test("an extension that has to be understood is not", async () => {
      for (const crit of [["exp"], ["b64"], [], "exp"]) {
        const token = await signed({ alg: "ES256", kid: issuer.kid, crit, exp: 1, b64: true });
        expect(await refusal(token)).toEqual([401, "token_malformed"]);
      }
    });

    test.each(["", "[]", "null", '"ES256"', "{", '{"alg":1}', "{}", '{"alg":["ES256"]}', "\ufeff{}", "é"])(
      "%j is none",
      async (header) => {
        expect(await refusal(await issuer.signRaw(header, JSON.stringify(claims())))).toEqual([
          401,
          "token_malformed",
        ]);
      },
    );

    test("an encrypted token", async () => {
      const { publicKey } = await generateKeyPair("RSA-OAEP-256");
      const token = await new CompactEncrypt(new TextEncoder().encode(JSON.stringify(claims())))
        .setProtectedHeader({ alg: "RSA-OAEP-256", enc: "A256GCM" })
        .encrypt(publicKey);
      expect(await refusal(token)).toEqual([401, "token_malformed"]);
    });
  });

  describe("claims", () => {
    const now = new Date("2026-06-01T12:00:00Z");
    const at = Math.floor(now.getTime() / 1000);

    const cases: [what: string, more: object, reason: string | undefined][] = [
      ["expired a second ago", { exp: at - 1 }, "token_expired"],
      ["expires now", { exp: at }, "token_expired"],
      ["expires in a second", { exp: at + 1 }, undefined],
      ["exp with a fraction", { exp: at + 0.5 }, undefined],
      ["exp as text", { exp: String(at + 300) }, "claims_invalid"],
      ["no exp", { exp: undefined }, "claims_invalid"],
      ["exp null", { exp: null }, "claims_invalid"],
      ["exp true", { exp: true }, "claims_invalid"],
      ["exp a list", { exp: [at + 300] }, "claims_invalid"],
      ["exp negative", { exp: -1 }, "token_expired"],
      ["exp zero", { exp: 0 }, "token_expired"],
      ["exp in milliseconds", { exp: now.getTime() + 1000 }, undefined],
      ["exp beyond all dates", { exp: 1e300 }, "claims_invalid"],
      ["not before now", { nbf: at }, undefined],
      ["not before a second from now", { nbf: at + 1 }, "token_not_yet_valid"],
      ["nbf as text", { nbf: "0" }, "claims_invalid"],
      ["nbf beyond all dates", { nbf: 1e300 }, "token_not_yet_valid"],
      ["issued in a second", { iat: at + 1 }, "token_not_yet_valid"],
      ["issued long ago", { iat: 0 }, undefined],
      ["iat as text", { iat: "0" }, "claims_invalid"],
      ["another issuer", { iss: "https://issuer.example" }, "issuer_unknown"],
      ["no issuer", { iss: undefined }, "issuer_unknown"],
      ["iss a list", { iss: [ISSUER] }, "issuer_unknown"],
      ["iss a number", { iss: 1 }, "issuer_unknown"],
      ["iss the name of an object's method", { iss: "constructor" }, "issuer_unknown"],
      ["iss in other letters", { iss: "https://іssuer.example/" }, "issuer_unknown"],
      ["another audience", { aud: "Orders" }, "audience_mismatch"],
      ["no audience", { aud: undefined }, "audience_mismatch"],
      ["aud a list with it", { aud: ["a", "orders"] }, undefined],
      ["aud a list without it", { aud: ["a", "order"] }, "audience_mismatch"],
      ["aud an empty list", { aud: [] }, "audience_mismatch"],
      ["aud a list in a list", { aud: [["orders"]] }, "audience_mismatch"],
      ["aud an object", { aud: { 0: "orders", length: 1 } }, "audience_mismatch"],
      ["sub a number", { sub: 7 }, "claims_invalid"],
      ["sub null", { sub: null }, "claims_invalid"],
      ["sub in any letters", { sub: "Ζωή 🚀" }, undefined],
      ["claims too deep", { deep: nested(40) }, "claims_invalid"],
      ["claims deep enough", { deep: nested(30) }, undefined],
    ];
    test.each(cases)("%s", async (_what, more, reason) => {
      setSystemTime(now);
      const status = reason === undefined ? undefined : 401;
      expect(await refusal(await issuer.sign(claims(more)), { clockSkew: "0s" })).toEqual([status, reason]);
    });

    test("exp and nbf that JSON reads as infinite", async () => {
      const raw = (part: string) => `{"iss":"${ISSUER}","aud":"orders",${part}}`;
      const header = JSON.stringify({ alg: "ES256", kid: issuer.kid });
      expect(await refusal(await issuer.signRaw(header, raw('"exp":1e999')))).toEqual([
        401,
        "claims_invalid",
      ]);
      expect(await refusal(await issuer.signRaw(header, raw('"exp":-1e999')))).toEqual([
        401,
        "token_expired",
      ]);
      const forever = raw(`"exp":${inSeconds(300)},"nbf":1e999`);
      expect(await refusal(await issuer.signRaw(header, forever))).toEqual([401, "token_not_yet_valid"]);
    });

    test("clockSkew is granted in both directions, and no more", async () => {
      setSystemTime(now);
      const ask = async (more: object) =>
        (await refusal(await issuer.sign(claims(more)), { clockSkew: "30s" }))[1];
      expect(await ask({ exp: at - 29 })).toBeUndefined();
      expect(await ask({ exp: at - 30 })).toBe("token_expired");
      expect(await ask({ nbf: at + 30, iat: at + 30 })).toBeUndefined();
      expect(await ask({ nbf: at + 31 })).toBe("token_not_yet_valid");
      expect(await ask({ iat: at + 31 })).toBe("token_not_yet_valid");
    });

    test.each(["", "null", "[]", '"text"', "{", "1"])("%j are none", async (payload) => {
      const token = await issuer.signRaw(JSON.stringify({ alg: "ES256", kid: issuer.kid }), payload);
      expect(await refusal(token)).toEqual([401, "token_malformed"]);
    });
  });

  describe("forms", () => {
    test("as long as is allowed, and longer", async () => {
      const token = await issuer.sign(claims({ pad: "x".repeat(3000) }));
      expect(await refusal(token, { maxTokenBytes: token.length })).toEqual([undefined, undefined]);
      expect(await refusal(token, { maxTokenBytes: token.length - 1 })).toEqual([401, "token_too_large"]);
      expect(await refusal("x".repeat(1_000_000))).toEqual([401, "token_too_large"]);
    });

    test("other spellings of the same bytes are other tokens", async () => {
      const token = await issuer.sign(claims());
      const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
      const last = alphabet[alphabet.indexOf(token.at(-1)!) ^ 1]!;
      const standard = token.replaceAll("-", "+").replaceAll("_", "/");
      const spellings = [
        `${token.slice(0, -1)}${last}`,
        `${token}=`,
        `${token} x`,
        `${token}\t`,
        `${token}.`,
        `.${token}`,
      ];
      if (standard !== token) spellings.push(standard);
      for (const spelling of spellings) expect(await refusal(spelling)).toEqual([401, "token_malformed"]);
    });

    test.each(["a", "a.b", "a.b.c", "..", "a..c", "a.b.c.d", "é.é.é", "{}.{}.{}", "null"])(
      "%j",
      async (token) => {
        expect(await refusal(token)).toEqual([401, "token_malformed"]);
      },
    );

    test("unicode in the header", async () => {
      expect(await refusal(`${await issuer.sign(claims())}\u00e9`)).toEqual([401, "token_malformed"]);
      expect(await refusal("\u{1f680}.\u{1f680}.\u{1f680}")).toEqual([401, "token_malformed"]);
    });
  });

  describe("properties", () => {
    const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31);

    test(`a token with any change never passes, seed ${seed}`, async () => {
      const tokens = await Promise.all([issuer.sign(claims()), rsa.sign(claims({ admin: false }))]);
      await using chain = await jwt();
      for (const token of tokens) {
        expect((await chain.request({ headers: { authorization: `Bearer ${token}` } })).outcome).toBe(
          "passed",
        );
      }
      const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.= ,";
      const character = fc.constantFrom(...alphabet);
      const change = fc.record({
        token: fc.constantFrom(...tokens),
        at: fc.nat(1000),
        length: fc.nat(3),
        insert: fc.string({ unit: character, maxLength: 3 }),
      });
      const property = fc.asyncProperty(change, async ({ token, at, length, insert }) => {
        const place = at % token.length;
        const mutant = token.slice(0, place) + insert + token.slice(place + length);
        // Blanks around a value belong to the header, not to the token.
        if (tokens.includes(mutant.trim())) return;
        const exchange = await chain.request({ headers: { authorization: `Bearer ${mutant}` } });
        expect(exchange.outcome).toBe("denied");
        expect(exchange.metadata.has("auth")).toBe(false);
      });
      await fc.assert(property, { seed, numRuns: 500 });
    });

    test(`parts of different tokens never make one, seed ${seed}`, async () => {
      const attacker = await TestIssuer.create("ES256", issuer.kid);
      const some = await Promise.all([
        issuer.sign(claims()),
        issuer.sign(claims({ sub: "bob" })),
        rsa.sign(claims({ sub: "eve" })),
        attacker.sign(claims({ sub: "root" })),
      ]);
      const valid = new Set(some.slice(0, 3));
      const parts = some.map((token) => token.split("."));
      await using chain = await jwt();
      const index = fc.nat(some.length - 1);
      const property = fc.asyncProperty(index, index, index, async (a, b, c) => {
        const token = [parts[a]![0], parts[b]![1], parts[c]![2]].join(".");
        const exchange = await chain.request({ headers: { authorization: `Bearer ${token}` } });
        expect(exchange.outcome).toBe(valid.has(token) ? "passed" : "denied");
      });
      await fc.assert(property, { seed, numRuns: 200 });
    });

    test(`any bytes are answered, never a fault, seed ${seed}`, async () => {
      await using chain = await jwt();
      const json = fc.json().map((text) => base64url(text));
      const part = fc.oneof(json, fc.base64String(), fc.string(), fc.constant(base64url('{"alg":"ES256"}')));
      const property = fc.asyncProperty(fc.array(part, { maxLength: 4 }), async (all) => {
        const value = `Bearer ${all.join(".")}`;
        expect((await chain.request({ headers: { authorization: value } })).outcome).toBe("denied");
      });
      await fc.assert(property, { seed, numRuns: 500 });
    });

    test(`signed nonsense is answered, never a fault, seed ${seed}`, async () => {
      await using chain = await jwt();
      const header = JSON.stringify({ alg: "ES256", kid: issuer.kid });
      const odd = fc.oneof(
        fc.jsonValue(),
        fc.constant(ISSUER),
        fc.constant("orders"),
        fc.constant(inSeconds(300)),
      );
      const shape = fc.record(
        { iss: odd, aud: odd, exp: odd, nbf: odd, iat: odd, sub: odd },
        { requiredKeys: [] },
      );
      const property = fc.asyncProperty(shape, async (said) => {
        const token = await issuer.signRaw(header, JSON.stringify(said));
        const { outcome } = await chain.request({ headers: { authorization: `Bearer ${token}` } });
        const good =
          said.iss === ISSUER && [said.aud].flat().includes("orders") && Number(said.exp) > inSeconds(0);
        if (!good) expect(outcome).toBe("denied");
        expect(outcome).not.toBe("failed");
      });
      await fc.assert(property, { seed, numRuns: 300 });
    });
  });
});

function nested(levels: number): unknown {
  let value: unknown = 1;
  for (let level = 0; level < levels; level++) value = [value];
  return value;
}
