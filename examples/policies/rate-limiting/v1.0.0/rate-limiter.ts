import {
  type Expression,
  type ImmediateResponse,
  type Policy,
  type PolicyMetadata,
  type RequestContext,
  type RequestResult,
  type ResponseResult,
  respond,
} from "@policy-engine/sdk";
import type { KeyReader } from "./key-reader.ts";
import type { KeyTable } from "./key-table.ts";
import type { KeyedHash } from "./keyed-hash.ts";
import { TICKS_PER_MS, ticksNow } from "./limit.ts";
import type { Params } from "./params.gen.ts";
import { type Headers, headerWriter, type NamedLimit, seconds } from "./rate-limit-headers.ts";

/** A limit with all that a request needs of it. */
export interface LimitAtWork extends NamedLimit {
  readonly table: KeyTable;
  /** One for all limits with the same key: it is read once. */
  readonly reader: KeyReader;
  readonly deniesMissingKey: boolean;
  /** One unit if there is none. */
  readonly cost: Expression | undefined;
  /** The reason of a refusal. */
  readonly reason: string;
}

export interface RateLimiterOptions {
  readonly hash: KeyedHash;
  readonly metadata: PolicyMetadata;
  readonly params: Pick<Params, "headers" | "headersOn">;
}

/** A table that is full stays so for a while; the log is told now and then. */
const TELL_EVERY = 60_000 * TICKS_PER_MS;

/** What a gRPC client gets. Envoy would make UNAVAILABLE of a 429, which clients may retry at once. */
const RESOURCE_EXHAUSTED = 8;

const keyMissing = respond(400, {
  body: "The request lacks what its rate limit is counted by",
  reason: "rate_limit_key_missing",
});

/**
 * Looks at every limit and takes from all or none. It is synchronous, so that nothing comes between looking and taking;
 * what it needs for one request it uses again for the next.
 */
export function rateLimiter(
  limits: readonly LimitAtWork[],
  { hash, metadata, params }: RateLimiterOptions,
): Policy {
  const headersOf = headerWriter(params.headers);
  const shown = params.headers !== "none" && params.headersOn === "all";
  // A name of its own: the policy may stand in the chain more than once.
  const noted = `rate-limiting:${crypto.randomUUID()}`;
  const applied: LimitAtWork[] = [];
  let tellAgain = 0;

  function refuse({ reason }: LimitAtWork, wait: number): ImmediateResponse {
    const headers: Headers = headersOf(applied);
    // What costs more than there ever is will not pass later either.
    if (wait !== Number.POSITIVE_INFINITY) headers["retry-after"] = String(seconds(wait));
    return respond(429, { headers, body: "Too many requests", reason, grpcStatus: RESOURCE_EXHAUSTED });
  }

  function tellIfCrowded(now: number): void {
    if (now < tellAgain) return;
    const crowded = limits.filter(({ table }) => table.takeShared() > 0);
    if (crowded.length === 0) return;
    tellAgain = now + TELL_EVERY;
    metadata.log.warn("More keys than maxKeys are at work: some share a counter", {
      limits: crowded.map(({ name }) => name),
    });
  }

  function onRequest(ctx: RequestContext): RequestResult {
    const now = ticksNow();
    applied.length = 0;
    let reader: KeyReader | undefined;
    let key: string | undefined;
    let hashed = 0;
    let refusing: LimitAtWork | undefined;
    let longest = 0;
    for (const one of limits) {
      if (one.reader !== reader) {
        reader = one.reader;
        key = reader.read(ctx);
        if (key !== undefined) hashed = hash.of(key);
      }
      if (key === undefined) {
        if (one.deniesMissingKey) return keyMissing;
        continue;
      }
      const cost = one.cost === undefined ? 1 : costOf(one.cost, ctx);
      applied.push(one);
      if (one.limit.look(now, hashed, cost)) continue;
      const wait = cost > one.limit.quota ? Number.POSITIVE_INFINITY : one.limit.ticksUntil(cost);
      if (wait < longest) continue;
      refusing = one;
      longest = wait;
    }
    tellIfCrowded(now);
    if (refusing !== undefined) return refuse(refusing, longest);
    for (const { limit } of applied) limit.take();
    if (shown && applied.length > 0) ctx.metadata.set(noted, headersOf(applied));
  }

  if (!shown) return { onRequest };
  return {
    onRequest,
    onResponse(ctx): ResponseResult {
      const headers = ctx.metadata.get(noted) as Headers | undefined;
      if (headers === undefined) return;
      // The draft's fields are lists, to which the upstream may have something to say too.
      return params.headers === "draft" ? { appendHeaders: headers } : { setHeaders: headers };
    },
  };
}

/** @throws {Error} If it is no whole number: a request that cannot be counted must not pass. */
function costOf(expression: Expression, ctx: RequestContext): number {
  const cost = expression.evaluate(ctx);
  if (typeof cost === "number" && Number.isSafeInteger(cost) && cost >= 0) return cost;
  throw new Error("Cannot count the request: its cost is not a whole number from 0 on");
}
