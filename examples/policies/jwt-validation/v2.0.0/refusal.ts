import { type ImmediateResponse, respond } from "@policy-engine/sdk";

/** Why a request does not pass; for logs, never for the client. */
export type Refusal =
  | "token_missing"
  | "token_repeated"
  | "token_malformed"
  | "token_too_large"
  | "algorithm_refused"
  | "issuer_unknown"
  | "key_unknown"
  | "keys_unavailable"
  | "signature_invalid"
  | "token_expired"
  | "token_not_yet_valid"
  | "audience_mismatch"
  | "claims_invalid"
  | "scope_insufficient"
  | "claim_refused"
  | "rule_refused";

const INVALID: readonly Refusal[] = [
  "token_malformed",
  "token_too_large",
  "algorithm_refused",
  "issuer_unknown",
  "key_unknown",
  "signature_invalid",
  "token_expired",
  "token_not_yet_valid",
  "audience_mismatch",
  "claims_invalid",
];

export interface AnswerOptions {
  readonly realm: string;
  /** The scopes that a token needs, for the client to ask its issuer for. */
  readonly scopes: { readonly all: readonly string[]; readonly any: readonly string[] };
}

interface Answer {
  readonly reason: Refusal;
  readonly error?: string;
  readonly scope?: string;
  readonly body: string;
}

/** The answers, made once: whatever is wrong with a token, its sender is told the same (RFC 6750 section 3). */
export function makeAnswers({
  realm,
  scopes: { all, any },
}: AnswerOptions): Readonly<Record<Refusal, ImmediateResponse>> {
  const challenge = `Bearer realm="${realm}"`;
  const answer = (status: number, { reason, error, scope, body }: Answer) => {
    let value = challenge;
    if (error !== undefined) value += `, error="${error}"`;
    if (scope !== undefined) value += `, scope="${scope}"`;
    return respond(status, { headers: { "www-authenticate": value }, body, reason });
  };
  const invalid = INVALID.map((reason) => {
    return [reason, answer(401, { reason, error: "invalid_token", body: "Token not valid" })] as const;
  });
  const needed = [...new Set([...all, ...any])].join(" ");
  const insufficient = { error: "insufficient_scope", body: "Token not sufficient" };
  const forbidden = {
    scope_insufficient: answer(403, { reason: "scope_insufficient", ...insufficient, scope: needed }),
    claim_refused: answer(403, { reason: "claim_refused", ...insufficient }),
    rule_refused: answer(403, { reason: "rule_refused", ...insufficient }),
  };
  return {
    ...(Object.fromEntries(invalid) as Record<Refusal, ImmediateResponse>),
    ...forbidden,
    token_missing: answer(401, { reason: "token_missing", body: "Bearer token required" }),
    token_repeated: answer(400, {
      reason: "token_repeated",
      error: "invalid_request",
      body: "One token required",
    }),
    // The token may be good: a 401 would make its client throw it away and flood the issuer for another.
    keys_unavailable: respond(503, { body: "Tokens cannot be verified now", reason: "keys_unavailable" }),
  };
}
