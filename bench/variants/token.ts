import { exportJWK, generateKeyPair, SignJWT } from "jose";
import type { TokenFacts } from "./variants.ts";

const ISSUER = "https://issuer.example.com/";
const AUDIENCE = "orders";

/** A token as identity providers issue them, valid for a day, with the keys to verify it. */
export async function makeToken(): Promise<TokenFacts & { readonly token: string }> {
  const { publicKey, privateKey } = await generateKeyPair("RS256", { extractable: true });
  const key = { ...(await exportJWK(publicKey)), kid: "bench", alg: "RS256", use: "sig" };
  const token = await new SignJWT({ scope: "orders:read orders:write", tenant: "acme" })
    .setProtectedHeader({ alg: "RS256", kid: "bench", typ: "JWT" })
    .setIssuer(ISSUER)
    .setAudience(AUDIENCE)
    .setSubject("auth0|5f7c8ec7c33c6c004bbafe82")
    .setJti("9f0c1e5b-3a48-4e27-8d9f-0c1e5b3a48e2")
    .setIssuedAt()
    .setExpirationTime("1d")
    .sign(privateKey);
  return { token, issuer: ISSUER, audience: AUDIENCE, jwks: JSON.stringify({ keys: [key] }) };
}
