import type {
  ImmediateResponse,
  Policy,
  PolicyMetadata,
  RequestContext,
  RequestResult,
} from "@policy-engine/sdk";
import { milliseconds } from "./duration.ts";
import { type Identity, identify } from "./identity.ts";
import { type OpenIssuers, openIssuers } from "./open-issuers.ts";
import type { Params } from "./params.gen.ts";
import { makeAnswers, type Refusal } from "./refusal.ts";
import { TokenCache } from "./token-cache.ts";
import { TokenVerifier } from "./token-verifier.ts";

/** `Bearer` in any case (RFC 9110 section 11.1), then blanks, then the token. */
const BEARER = /^bearer +/i;
/** What may stand before a token. */
const MAX_SCHEME_CHARACTERS = 16;

/** The policy at work. A token that is known is answered without waiting for anything. */
export class JwtValidation implements Policy {
  readonly #params: Params;
  readonly #verifier: TokenVerifier;
  readonly #cache: TokenCache<Identity>;
  readonly #answers: Readonly<Record<Refusal, ImmediateResponse>>;
  readonly #open: OpenIssuers;

  private constructor(params: Params, open: OpenIssuers) {
    const { algorithms, cacheSize, clockSkew, realm } = params;
    const { issuers } = open;
    this.#params = params;
    this.#open = open;
    this.#verifier = new TokenVerifier({ issuers, algorithms, clockSkewMs: milliseconds(clockSkew) });
    this.#cache = new TokenCache(cacheSize);
    this.#answers = makeAnswers(realm);
  }

  /** @throws {Error} If keys in the configuration cannot be used. An issuer that is down is no error. */
  static async create(params: Params, { log, signal, previous }: PolicyMetadata): Promise<JwtValidation> {
    const known = previous instanceof JwtValidation ? previous.#open : undefined;
    return new JwtValidation(params, await openIssuers(params, { log, signal, known }));
  }

  onRequest(ctx: RequestContext): RequestResult | Promise<RequestResult> {
    const lines = ctx.headers.getAll("authorization");
    const line = lines[0];
    if (line === undefined) return this.#answers.token_missing;
    // Which of them counts would be a guess, and the upstream's guess may be another.
    if (lines.length > 1) return this.#answers.token_repeated;
    if (line.length > this.#params.maxTokenBytes + MAX_SCHEME_CHARACTERS)
      return this.#answers.token_too_large;
    const digest = Bun.CryptoHasher.hash("sha256", line, "base64");
    const known = this.#cache.get(digest, Date.now());
    return known === undefined ? this.#verify(ctx, { line, digest }) : admit(ctx, known);
  }

  async #verify(
    ctx: RequestContext,
    { line, digest }: { line: string; digest: string },
  ): Promise<RequestResult> {
    const token = line.replace(BEARER, "");
    if (token.length === line.length) return this.#answers.token_missing;
    if (token.length > this.#params.maxTokenBytes) return this.#answers.token_too_large;
    const verified = await this.#verifier.verify(token);
    if (typeof verified === "string") return this.#answers[verified];
    const identity = identify(verified, this.#params);
    this.#cache.set(digest, identity);
    return admit(ctx, identity);
  }
}

function admit(ctx: RequestContext, { auth, metadata, changes }: Identity): RequestResult {
  ctx.metadata.set("auth", auth);
  for (const [key, value] of metadata) ctx.metadata.set(key, value);
  return changes;
}
