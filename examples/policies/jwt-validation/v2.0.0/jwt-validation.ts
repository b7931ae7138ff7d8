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

/** What may stand before a token, in characters. */
const MAX_PREFIX_CHARACTERS = 40;

/** A place with a memory of its own: what happens to a request depends on where its token was. */
interface Place {
  readonly place: TokenPlace;
  readonly cache: TokenCache<Identity>;
}

interface Presented extends Place {
  /** As it stands in its place. */
  readonly text: string;
  readonly digest: string;
}

/** The policy at work. A token that is known is answered without waiting for anything. */
export class JwtValidation implements Policy {
  readonly #params: Params;
  readonly #verifier: TokenVerifier;
  readonly #places: readonly Place[];
  readonly #rules: Rules;
  readonly #answers: Readonly<Record<Refusal, ImmediateResponse>>;
  readonly #open: OpenIssuers;

  private constructor(params: Params, { open, rules }: { open: OpenIssuers; rules: Rules }) {
    const { algorithms, cacheSize, clockSkew, tokenFrom } = params;
    const { issuers } = open;
    this.#params = params;
    this.#open = open;
    this.#verifier = new TokenVerifier({ issuers, algorithms, clockSkewMs: milliseconds(clockSkew) });
    const size = Math.floor(cacheSize / tokenFrom.length);
    this.#places = tokenFrom.map((place) => ({ place: tokenPlace(place), cache: new TokenCache(size) }));
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
    let at: Place | undefined;
    let text = "";
    for (const one of this.#places) {
      const found = one.place.find(ctx);
      if (found.length === 0) continue;
      // Which of them counts would be a guess, and the upstream's guess may be another.
      if (found.length > 1 || at !== undefined) return this.#answers.token_repeated;
      at = one;
      text = found[0] ?? "";
    }
    if (at === undefined) return this.#answers.token_missing;
    if (text.length > this.#params.maxTokenBytes + MAX_PREFIX_CHARACTERS)
      return this.#answers.token_too_large;
    const digest = Bun.CryptoHasher.hash("sha256", text, "base64");
    const known = at.cache.get(digest, Date.now());
    return known === undefined ? this.#verify(ctx, { ...at, text, digest }) : this.#admit(ctx, known);
  }

  async #verify(ctx: RequestContext, { place, cache, text, digest }: Presented): Promise<RequestResult> {
    const token = place.tokenOf(text);
    if (token.length > this.#params.maxTokenBytes) return this.#answers.token_too_large;
    const verified = await this.#verifier.verify(token);
    if (typeof verified === "string") return this.#answers[verified];
    const identity = identify(verified, { params: this.#params, place });
    cache.set(digest, identity);
    return this.#admit(ctx, identity);
  }

  #admit(ctx: RequestContext, identity: Identity): RequestResult {
    const { auth, metadata, changes, unmet, place } = identity;
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
