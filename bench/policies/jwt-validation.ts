// What a token costs an exchange, remembered and verified, beside set-header.
//
//   bun bench/policies/jwt-validation.ts [ROUNDS] [SECONDS]
import { exportJWK, generateKeyPair, SignJWT } from "jose";
import * as v1 from "../../examples/policies/jwt-validation/v1.0.0/policy.ts";
import * as v2 from "../../examples/policies/jwt-validation/v2.0.0/policy.ts";
import * as setHeader from "../../examples/policies/set-header/v1.0.0/policy.ts";
import { compileExpression } from "../../runtime/cel/compile-expression.ts";
import { chainRun, compareVariants, examplePolicy, type Run, requestWith } from "./compare-variants.ts";

/** Claims as an identity provider issues them. */
const CLAIMS = {
  iss: "https://login.example.com/",
  aud: "orders",
  sub: "f0c1b2a3-9c3e-4a57-8f0e-0d4c1f6a2b7d",
  exp: Math.floor(Date.now() / 1000) + 86_400,
  scope: "openid profile orders:read orders:write",
  email: "alice@example.com",
  realm_access: { roles: ["buyer", "offline_access", "uma_authorization"] },
};
const TWO_HEADERS = { claimHeaders: { "x-user-id": "sub", "x-roles": "/realm_access/roles" } };

const HEADERS_ONLY = { requestBody: false, responseBody: false, response: false };

interface Setting {
  readonly version?: "v1.0.0" | "v2.0.0";
  readonly alg?: string;
  readonly params?: object;
  /** So many tokens take turns. Default: 1. */
  readonly tokens?: number;
  /** Whether each is verified. Default: false. */
  readonly verifies?: boolean;
  readonly forged?: boolean;
}

async function jwt(setting: Setting): Promise<Run> {
  const {
    version = "v1.0.0",
    alg = "RS256",
    params = {},
    tokens = 1,
    verifies = false,
    forged = false,
  } = setting;
  const { publicKey, privateKey } = await generateKeyPair(alg, { extractable: true });
  const jwks = JSON.stringify({ keys: [{ ...(await exportJWK(publicKey)), kid: "key-1" }] });
  const all = await Promise.all(
    Array.from({ length: tokens }, async (_, index) => {
      const made = new SignJWT({ ...CLAIMS, jti: String(index) }).setProtectedHeader({
        alg,
        typ: "JWT",
        kid: "key-1",
      });
      const token = await made.sign(privateKey);
      // Another token's signature.
      return requestWith([
        ["authorization", `Bearer ${forged ? token.replace(/.{8}$/, "AAAAAAAA") : token}`],
      ]);
    }),
  );
  const issuers = [{ issuer: CLAIMS.iss, audiences: ["orders"], jwks }];
  const policy = await examplePolicy(version === "v1.0.0" ? v1 : v2, {
    folder: `jwt-validation/${version}`,
    params: { issuers, ...(verifies && { cacheSize: 0 }), ...params },
    metadata: { expression: (source) => compileExpression(source, HEADERS_ONLY).expression! },
  });
  const run = { policies: [policy], requests: all };
  if (verifies) return chainRun({ ...run, waits: true });
  // The first of each is verified; what is measured comes after.
  await chainRun({ ...run, waits: true })(tokens);
  return chainRun(run);
}

await compareVariants(import.meta.path, {
  "a hook that does nothing": () =>
    chainRun({ policies: [{ onRequest: () => undefined }], requests: [withToken()] }),
  "set-header": async () => {
    const params = { request: { set: { "x-a": "1" } } };
    const policy = await examplePolicy(setHeader, { folder: "set-header/v1.0.0", params });
    return chainRun({ policies: [policy], requests: [withToken()] });
  },
  "v1, known token": () => jwt({}),
  "v1, known token, kept": () => jwt({ params: { keepToken: true } }),
  "v1, known token, 2 headers": () => jwt({ params: TWO_HEADERS }),
  "v1, 5,000 known tokens, 2 headers": () => jwt({ params: TWO_HEADERS, tokens: 5000, alg: "ES256" }),
  "v2, known token, 2 headers": () => jwt({ version: "v2.0.0", params: TWO_HEADERS }),
  "v2, known token, 2 headers, scopes, 1 rule": () =>
    jwt({
      version: "v2.0.0",
      params: {
        ...TWO_HEADERS,
        scopes: { all: ["orders:read"] },
        rules: ['"buyer" in auth.claims.realm_access.roles'],
      },
    }),
  "v1, RS256 verified": () => jwt({ verifies: true }),
  "v1, ES256 verified": () => jwt({ verifies: true, alg: "ES256" }),
  "v1, EdDSA verified": () => jwt({ verifies: true, alg: "EdDSA" }),
  "v1, RS256, wrong signature": () => jwt({ verifies: true, forged: true }),
});

/** As long as the tokens above. */
function withToken(): Uint8Array {
  return requestWith([["authorization", `Bearer ${"a".repeat(760)}`]]);
}
