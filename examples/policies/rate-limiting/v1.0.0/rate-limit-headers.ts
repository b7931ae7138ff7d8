import { type Limit, TICKS_PER_MS } from "./limit.ts";
import type { LimitParams } from "./limits-of.ts";
import type { Params } from "./params.gen.ts";

/** A limit with its name, as headers show it. */
export interface NamedLimit {
  readonly name: string;
  readonly limit: Limit;
  /** Its item of `ratelimit-policy`, which is always the same. */
  readonly policyItem: string;
}

export type Headers = Record<string, string>;

/** Headers about the limits that a request is counted by, right after it was looked at. At least one is needed. */
export type HeaderWriter = (applied: readonly NamedLimit[]) => Headers;

const TICKS_PER_SECOND = TICKS_PER_MS * 1000;

export function headerWriter(form: Params["headers"]): HeaderWriter {
  if (form === "draft") return draftHeaders;
  return form === "legacy" ? legacyHeaders : () => ({});
}

/** Whole seconds, rounded up: who waits that long has waited long enough. */
export function seconds(ticks: number): number {
  return Math.max(Math.ceil(ticks / TICKS_PER_SECOND), 1);
}

/** What the draft says of a limit as such: the most at once and the time in which as much comes back, in whole seconds. */
export function policyItem({ name, requests, perTicks, burst }: LimitParams): string {
  const window = ((perTicks / TICKS_PER_SECOND) * burst) / requests;
  return `"${name}";q=${burst}${Number.isInteger(window) ? `;w=${window}` : ""}`;
}

/** draft-ietf-httpapi-ratelimit-headers-11: lists of items, the name of a limit with its parameters. */
function draftHeaders(applied: readonly NamedLimit[]): Headers {
  let policy = "";
  let state = "";
  for (const { name, limit, policyItem: item } of applied) {
    const comma = policy === "" ? "" : ", ";
    policy += comma + item;
    state += `${comma}"${name}";r=${limit.remaining()};t=${untilMore(limit)}`;
  }
  return { "ratelimit-policy": policy, ratelimit: state };
}

/** draft-ietf-httpapi-ratelimit-headers-05, widely used: one limit, the one that is nearest to its end. */
function legacyHeaders(applied: readonly NamedLimit[]): Headers {
  let nearest = applied[0]!.limit;
  for (const { limit } of applied) {
    const fewer = limit.remaining() - nearest.remaining();
    if (fewer < 0 || (fewer === 0 && untilMore(limit) > untilMore(nearest))) nearest = limit;
  }
  return {
    "ratelimit-limit": String(nearest.quota),
    "ratelimit-remaining": String(nearest.remaining()),
    "ratelimit-reset": String(untilMore(nearest)),
  };
}

/** Seconds in which no more than what is left can be had. */
function untilMore(limit: Limit): number {
  return seconds(limit.ticksUntil(limit.remaining() + 1));
}
