// What is not a valid token never passes, whatever it looks like, and its sender learns nothing but that.
import { beforeAll, describe, expect, test } from "bun:test";
import { CompactEncrypt, exportSPKI, generateKeyPair, importJWK, SignJWT } from "jose";
import { base64url, TestIssuer } from "../helpers/tokens.ts";
import { claims, ISSUER, jwtWithKeys, refusalOf, VERSIONS } from "./jwt-chains.ts";

let issuer: TestIssuer;
let rsa: TestIssuer;

beforeAll(async () => {
  [issuer, rsa] = await Promise.all([TestIssuer.create(), TestIssuer.create("RS256")]);
});

describe.each(VERSIONS)("jwt-validation %s", (version) => {
  const jwt = (params: object = {}) => jwtWithKeys(version, { keys: [issuer, rsa], params });
  const refusal = (credentials: string | Record<string, string | string[]>, params: object = {}) =>
    refusalOf(jwt(params), credentials);

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
});
