// A token whose signature is right passes only with the claims that it needs.
import { afterEach, beforeAll, describe, expect, setSystemTime, test } from "bun:test";
import { inSeconds, TestIssuer } from "../helpers/tokens.ts";
import { claims, ISSUER, jwtWithKeys, refusalOf, VERSIONS } from "./jwt-chains.ts";

let issuer: TestIssuer;

beforeAll(async () => {
  issuer = await TestIssuer.create();
});
afterEach(() => void setSystemTime());

describe.each(VERSIONS)("jwt-validation %s", (version) => {
  const refusal = (token: string, params: object = {}) =>
    refusalOf(jwtWithKeys(version, { keys: [issuer], params }), token);

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
});

function nested(levels: number): unknown {
  let value: unknown = 1;
  for (let level = 0; level < levels; level++) value = [value];
  return value;
}
