import { expect } from "bun:test";
import { resolve } from "node:path";
import { type TestChain, testPolicy } from "@policy-engine/testing";
import * as v1 from "../../examples/policies/jwt-validation/v1.0.0/policy.ts";
import * as v2 from "../../examples/policies/jwt-validation/v2.0.0/policy.ts";
import { inSeconds, type TestIssuer } from "../helpers/tokens.ts";

/** Both versions: whoever moves from one to the other must not lose anything. */
export const VERSIONS = ["v1.0.0", "v2.0.0"] as const;
export type Version = (typeof VERSIONS)[number];

export const ISSUER = "https://issuer.example/";

const FOLDER = resolve(import.meta.dir, "../../examples/policies/jwt-validation");

/** The policy at work, with parameters as a route has them. */
export function jwtChain(version: Version, params: object): Promise<TestChain> {
  const options = { definition: `${FOLDER}/${version}`, params };
  return version === "v1.0.0" ? testPolicy(v1, options) : testPolicy(v2, options);
}

/** The policy with the keys of these issuers, for the audience `orders`. */
export function jwtWithKeys(
  version: Version,
  { keys, params }: { keys: readonly TestIssuer[]; params: object },
): Promise<TestChain> {
  const jwks = JSON.stringify({ keys: keys.map(({ jwk }) => jwk) });
  return jwtChain(version, { issuers: [{ issuer: ISSUER, audiences: ["orders"], jwks }], ...params });
}

/** Claims that pass, and others in their place or beside them. */
export function claims(more: object = {}): Record<string, unknown> {
  return { iss: ISSUER, aud: "orders", sub: "alice", exp: inSeconds(300), ...more };
}

/** What a request with this token, or these headers, is refused for; undefined if it is not. Closes the chain. */
export async function refusalOf(
  making: Promise<TestChain>,
  credentials: string | Record<string, string | string[]>,
): Promise<[number | undefined, string | undefined]> {
  await using chain = await making;
  const headers = typeof credentials === "string" ? { authorization: `Bearer ${credentials}` } : credentials;
  const { answer, changes } = await chain.request({ headers });
  expect(changes).toEqual(answer === undefined ? { authorization: null } : {});
  if (answer?.status === 401 && answer.reason !== "token_missing") {
    expect(answer.headers.get("www-authenticate")).toBe('Bearer realm="api", error="invalid_token"');
    expect(answer.body).toBe("Token not valid");
  }
  return [answer?.status, answer?.reason];
}
