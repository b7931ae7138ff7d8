// Random tokens, and random changes to good ones.
import { beforeAll, describe, expect, test } from "bun:test";
import fc from "fast-check";
import { base64url, inSeconds, TestIssuer } from "../helpers/tokens.ts";
import { claims, ISSUER, jwtWithKeys, VERSIONS } from "./jwt-chains.ts";

let issuer: TestIssuer;
let rsa: TestIssuer;

beforeAll(async () => {
  [issuer, rsa] = await Promise.all([TestIssuer.create(), TestIssuer.create("RS256")]);
});

describe.each(VERSIONS)("jwt-validation %s", (version) => {
  const jwt = () => jwtWithKeys(version, { keys: [issuer, rsa], params: {} });

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
