import type {
  ImmediateResponse,
  Policy,
  PolicyMetadata,
  RequestChanges,
  RequestContext,
  RequestResult,
} from "@policy-engine/sdk";
import { milliseconds } from "./duration.ts";
import { type Identity, identify } from "./identity.ts";
import { type OpenIssuers, openIssuers } from "./open-issuers.ts";
import type { Params } from "./params.gen.ts";
import { makeAnswers, type Refusal } from "./refusal.ts";
import { Rules } from "./requirements.ts";
import { TokenCache } from "./token-cache.ts";
import { type TokenPlace, tokenPlace } from "./token-place.ts";
import { TokenVerifier } from "./token-verifier.ts";

interface Presented {
  readonly place: TokenPlace;
  readonly token: string;
}

/** The policy at work. A token that is known is answered without waiting for anything. */
export class JwtValidation implements Policy {
  readonly #params: Params;
  readonly #verifier: TokenVerifier;
  readonly #places: readonly TokenPlace[];
  /** For each place a memory of its own: what happens to the request is another. */
  readonly #caches: ReadonlyMap<TokenPlace, TokenCache<Identity>>;
  readonly #rules: Rules;
  readonly #answers: Readonly<Record<Refusal, ImmediateResponse>>;
  readonly #open: OpenIssuers;

  private constructor(params: Params, { open, rules }: { open: OpenIssuers; rules: Rules }) {
    const { algorithms, cacheSize, clockSkew, tokenFrom } = params;
    const { issuers } = open;
    this.#params = params;
    this.#open = open;
    this.#verifier = new TokenVerifier({ issuers, algorithms, clockSkewMs: milliseconds(clockSkew) });
    this.#places = tokenFrom.map(tokenPlace);
    const size = Math.floor(cacheSize / this.#places.length);
    this.#caches = new Map(this.#places.map((place) => [place, new TokenCache(size)]));
    this.#rules = rules;
    this.#answers = makeAnswers(params);
  }

  /** @throws {Error} If keys or rules in the configuration cannot be used. An issuer that is down is no error. */
  static async create(params: Params, metadata: PolicyMetadata): Promise<JwtValidation> {
    const { log, signal, previous } = metadata;
    const rules = new Rules(params.rules, (source) => metadata.expression(source));
    const known = previous instanceof JwtValidation ? previous.#open : undefined;
    return new JwtValidation(params, { open: await openIssuers(params, { log, signal, known }), rules });
  }

  onRequest(ctx: RequestContext): RequestResult | Promise<RequestResult> {
    let found: Presented | undefined;
    for (const place of this.#places) {
      const tokens = place.find(ctx);
      const token = tokens[0];
      if (token === undefined) continue;
      // Which of them counts would be a guess, and the upstream's guess may be another.
      if (tokens.length > 1 || found !== undefined) return this.#answers.token_repeated;
      found = { place, token };
    }
    if (found === undefined) return this.#answers.token_missing;
    const { place, token } = found;
    if (token.length > this.#params.maxTokenBytes) return this.#answers.token_too_large;
    const digest = Bun.CryptoHasher.hash("sha256", token, "base64");
    const known = this.#caches.get(place)?.get(digest, Date.now());
    return known === undefined
      ? this.#verify(ctx, { ...found, digest })
      : this.#admit(ctx, { place, identity: known });
  }

  async #verify(
    ctx: RequestContext,
    { place, token, digest }: Presented & { digest: string },
  ): Promise<RequestResult> {
    const verified = await this.#verifier.verify(token);
    if (typeof verified === "string") return this.#answers[verified];
    const identity = identify(verified, { params: this.#params, tokenHeader: place.header });
    this.#caches.get(place)?.set(digest, identity);
    return this.#admit(ctx, { place, identity });
  }

  #admit(ctx: RequestContext, { place, identity }: { place: TokenPlace; identity: Identity }): RequestResult {
    const { auth, metadata, changes, unmet } = identity;
    // Also where it is not enough: who it is, is known.
    ctx.metadata.set("auth", auth);
    for (const [key, value] of metadata) ctx.metadata.set(key, value);
    if (unmet !== undefined) return this.#answers[unmet];
    if (!this.#rules.hold(ctx)) return this.#answers.rule_refused;
    if (place.header !== undefined || this.#params.keepToken) return changes;
    return merged(changes, place.without(ctx));
  }
}

function merged(changes: RequestChanges, more: RequestChanges): RequestChanges {
  return {
    ...more,
    removeHeaders: [...(changes.removeHeaders ?? []), ...(more.removeHeaders ?? [])],
    setHeaders: { ...changes.setHeaders, ...more.setHeaders },
  };
}
