import {
  decodeJwt,
  decodeProtectedHeader,
  errors,
  type JWTPayload,
  type JWTVerifyOptions,
  jwtVerify,
  type ProtectedHeaderParameters,
} from "jose";
import { type Claims, freezeClaims } from "./claims.ts";
import type { KeyWish, VerificationKey } from "./key-set.ts";
import type { KeySource } from "./key-source.ts";
import type { Refusal } from "./refusal.ts";
import type { Standing } from "./token-cache.ts";

/** Three parts in the alphabet of base64url (RFC 7515 section 3.1). An encrypted token has five. */
const COMPACT = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$/;
/** The latest time that JavaScript has, in seconds. */
const MAX_DATE = 8_640_000_000_000;

export interface TokenIssuer {
  readonly issuer: string;
  readonly audiences: readonly string[];
  readonly source: KeySource;
}

export interface VerifierOptions {
  readonly issuers: readonly TokenIssuer[];
  readonly algorithms: readonly string[];
  readonly clockSkewMs: number;
}

/** A token that is what it claims to be. */
export interface VerifiedToken extends Standing {
  readonly subject: string;
  /** Frozen. */
  readonly claims: Claims;
}

interface Signer extends TokenIssuer {
  readonly checks: JWTVerifyOptions;
}

/** Verifies tokens. It takes nothing from a token on trust: not its algorithm, not a key or an address in it. */
export class TokenVerifier {
  readonly #signers: ReadonlyMap<string, Signer>;
  readonly #algorithms: ReadonlySet<string>;
  readonly #skewMs: number;

  constructor({ issuers, algorithms, clockSkewMs }: VerifierOptions) {
    this.#algorithms = new Set(algorithms);
    this.#skewMs = clockSkewMs;
    this.#signers = new Map(
      issuers.map((one) => {
        const audience = one.audiences.length === 0 ? {} : { audience: [...one.audiences] };
        const checks = {
          issuer: one.issuer,
          ...audience,
          requiredClaims: ["exp"],
          clockTolerance: clockSkewMs / 1000,
        };
        return [one.issuer, { ...one, checks }];
      }),
    );
  }

  /** What the token is, or why it is none that counts. */
  async verify(token: string): Promise<VerifiedToken | Refusal> {
    const said = readUnverified(token);
    if (said === undefined) return "token_malformed";
    const { alg, kid } = said.header;
    if (!this.#algorithms.has(alg)) return "algorithm_refused";
    const { iss } = said.claims;
    const signer = typeof iss === "string" ? this.#signers.get(iss) : undefined;
    if (signer === undefined) return "issuer_unknown";
    const keys = await keysFor({ alg, kid }, signer.source);
    if (typeof keys === "string") return keys;
    let refusal: Refusal = "signature_invalid";
    for (const key of keys) {
      const result = await this.#verifyWith(key, { token, alg, signer });
      if (typeof result !== "string") return result;
      refusal = result;
      if (refusal !== "signature_invalid") break;
    }
    return refusal;
  }

  async #verifyWith(
    key: VerificationKey,
    { token, alg, signer }: { token: string; alg: string; signer: Signer },
  ): Promise<VerifiedToken | Refusal> {
    const now = Date.now();
    const options = { ...signer.checks, algorithms: [alg], currentDate: new Date(now) };
    let claims: JWTPayload;
    try {
      ({ payload: claims } = await jwtVerify(token, key.byAlgorithm.get(alg)!, options));
    } catch (error) {
      return refusalOf(error);
    }
    // The issuer may have taken the key back meanwhile.
    if (!key.active) return "key_unknown";
    const { sub = "", exp = Number.NaN, iat } = claims;
    // A number such as 1e999 is infinite, and the library compares with what it is given.
    if (!(exp <= MAX_DATE) || typeof sub !== "string") return "claims_invalid";
    if (iat !== undefined && iat * 1000 > now + this.#skewMs) return "token_not_yet_valid";
    if (!freezeClaims(claims)) return "claims_invalid";
    return { subject: sub, claims, expiresAt: exp * 1000 + this.#skewMs, key, source: signer.source };
  }
}

/** What a token says of itself, which is worth nothing until it is verified. */
function readUnverified(token: string): { header: KeyWish; claims: JWTPayload } | undefined {
  if (!COMPACT.test(token) || !token.split(".").every(isCanonical)) return undefined;
  try {
    const header: ProtectedHeaderParameters = decodeProtectedHeader(token);
    const { alg, kid } = header;
    // An extension that has to be understood (RFC 7515 section 4.1.11): none is.
    if (typeof alg !== "string" || "crit" in header) return undefined;
    if (kid !== undefined && typeof kid !== "string") return undefined;
    return { header: { alg, kid }, claims: decodeJwt(token) };
  } catch {
    return undefined;
  }
}

/** Whether a part has the one spelling of its bytes: decoders forgive others, and those would be other tokens. */
function isCanonical(part: string): boolean {
  return Buffer.from(part, "base64url").toString("base64url") === part;
}

async function keysFor(wish: KeyWish, source: KeySource): Promise<readonly VerificationKey[] | Refusal> {
  let keys = source.find(wish);
  if (keys.length === 0 || Date.now() >= source.usableUntil) {
    const newer = source.newer();
    if (newer !== undefined) await newer;
    keys = source.find(wish);
  }
  if (Date.now() >= source.usableUntil) return "keys_unavailable";
  return keys.length === 0 ? "key_unknown" : keys;
}

function refusalOf(error: unknown): Refusal {
  if (error instanceof errors.JWTExpired) return "token_expired";
  if (error instanceof errors.JWTClaimValidationFailed) {
    if (error.claim === "aud") return "audience_mismatch";
    return error.claim === "nbf" && error.reason === "check_failed"
      ? "token_not_yet_valid"
      : "claims_invalid";
  }
  if (error instanceof errors.JWSSignatureVerificationFailed) return "signature_invalid";
  if (error instanceof errors.JOSEError) return "token_malformed";
  throw error;
}
