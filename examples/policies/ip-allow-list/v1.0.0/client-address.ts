import type { RequestContext } from "@policy-engine/sdk";
import { parseAddress, type Words } from "./address.ts";
import { ForwardedFor } from "./forwarded.ts";
import { NetworkSet } from "./network-set.ts";
import type { Params } from "./params.gen.ts";

/** Writes the client's address; false where none can be trusted. */
export type ReadAddress = (ctx: RequestContext, into: Words) => boolean;

/** Proxies in a row that are followed: no real chain is longer, and a client can write thousands of entries. */
const MOST_ENTRIES = 50;

/** How the parameters say that the client's address is found. */
export function addressReader({ addressFrom, trustedHops, trustedProxies }: Params): ReadAddress {
  if (addressFrom === "connection") return (ctx, into) => parseAddress(ctx.client.address, into);
  if (trustedHops !== undefined) return (ctx, into) => entryAt(forwardedFor(ctx), trustedHops, into);
  const trusted = new NetworkSet(trustedProxies ?? []);
  return (ctx, into) => firstUntrusted(ctx, trusted, into);
}

/** As Envoy sent it: what policies in front of this one made of it does not count. */
function forwardedFor(ctx: RequestContext): ForwardedFor {
  return new ForwardedFor(ctx.original.headers.getAll("x-forwarded-for"));
}

/** The n-th entry from the right; with fewer entries, a proxy that should be there was gone around. */
function entryAt(entries: ForwardedFor, place: number, into: Words): boolean {
  for (let at = 0; at < place; at++) if (!entries.next()) return false;
  return entries.address(into);
}

/** Walks back from the connection as long as it knows who wrote the next entry; the leftmost, if it knows all. */
function firstUntrusted(ctx: RequestContext, trusted: NetworkSet, into: Words): boolean {
  if (!parseAddress(ctx.client.address, into)) return false;
  const entries = forwardedFor(ctx);
  for (let seen = 0; trusted.has(into); seen++) {
    if (!entries.next()) return true;
    if (seen === MOST_ENTRIES || !entries.address(into)) return false;
  }
  return true;
}
