import type { HeaderChanges } from "@policy-engine/sdk";
import { type Claims, claimAt, claimPath, headerValue } from "./claims.ts";
import type { Params } from "./params.gen.ts";
import type { Refusal } from "./refusal.ts";
import { unmetBy } from "./requirements.ts";
import type { Standing } from "./token-cache.ts";
import type { TokenPlace } from "./token-place.ts";
import type { VerifiedToken } from "./token-verifier.ts";

/** What an authentication policy leaves in the metadata, under `auth`. */
export interface Auth {
  readonly subject: string;
  readonly scheme: "jwt";
  readonly claims: Claims;
}

/** What happens when a client presents a token in one place, made once for all requests that do. */
export interface Identity extends Standing {
  readonly auth: Auth;
  /** What else goes into the metadata. */
  readonly metadata: readonly (readonly [key: string, value: unknown])[];
  readonly changes: HeaderChanges;
  /** Where the token was. */
  readonly place: TokenPlace;
  /** Why the token, though valid, is not enough. */
  readonly unmet: Refusal | undefined;
}

/** Makes of a verified token what the parameters want of it. */
export function identify(
  token: VerifiedToken,
  { params, place }: { params: Params; place: TokenPlace },
): Identity {
  const { subject, claims, expiresAt, key, source } = token;
  const { claimHeaders, claimMetadata, keepToken } = params;
  const setHeaders: Record<string, string> = {};
  for (const [header, claim] of Object.entries(claimHeaders)) {
    const value = headerValue(claimAt(claims, claimPath(claim)));
    if (value !== undefined) setHeaders[header] = value;
  }
  // All of them, also those this token has no value for: a client must not fill the gap.
  const removeHeaders = [
    ...Object.keys(claimHeaders),
    ...(keepToken || place.header === undefined ? [] : [place.header]),
  ];
  const metadata: [string, unknown][] = [];
  for (const [name, claim] of Object.entries(claimMetadata)) {
    const value = claimAt(claims, claimPath(claim));
    if (value !== undefined) metadata.push([name, value]);
  }
  const auth = Object.freeze({ subject, scheme: "jwt", claims } as const);
  const changes = { removeHeaders, setHeaders };
  return { auth, metadata, changes, place, unmet: unmetBy(claims, params), expiresAt, key, source };
}
