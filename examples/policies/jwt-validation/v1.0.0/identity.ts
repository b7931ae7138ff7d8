import type { HeaderChanges } from "@policy-engine/sdk";
import { type Claims, claimAt, claimPath, headerValue } from "./claims.ts";
import type { Params } from "./params.gen.ts";
import type { Standing } from "./token-cache.ts";
import type { VerifiedToken } from "./token-verifier.ts";

/** What an authentication policy leaves in the metadata, under `auth`. */
export interface Auth {
  readonly subject: string;
  readonly scheme: "jwt";
  readonly claims: Claims;
}

/** What happens when a client presents a token, made once for all requests that do. */
export interface Identity extends Standing {
  readonly auth: Auth;
  /** What else goes into the metadata. */
  readonly metadata: readonly (readonly [key: string, value: unknown])[];
  readonly changes: HeaderChanges;
}

/** Makes of a verified token what the parameters want of it. */
export function identify(token: VerifiedToken, params: Params): Identity {
  const { subject, claims, expiresAt, key, source } = token;
  const { claimHeaders, claimMetadata, keepToken } = params;
  const setHeaders: Record<string, string> = {};
  for (const [header, claim] of Object.entries(claimHeaders)) {
    const value = headerValue(claimAt(claims, claimPath(claim)));
    if (value !== undefined) setHeaders[header] = value;
  }
  // All of them, also those this token has no value for: a client must not fill the gap.
  const removeHeaders = [...Object.keys(claimHeaders), ...(keepToken ? [] : ["authorization"])];
  const metadata: [string, unknown][] = [];
  for (const [name, claim] of Object.entries(claimMetadata)) {
    const value = claimAt(claims, claimPath(claim));
    if (value !== undefined) metadata.push([name, value]);
  }
  const auth = Object.freeze({ subject, scheme: "jwt", claims } as const);
  return { auth, metadata, changes: { removeHeaders, setHeaders }, expiresAt, key, source };
}
