import { type PolicyFactory, type RequestContext, type RequestResult, respond } from "@policy-engine/sdk";
import type { Params } from "./params.gen.ts";

/** Headers that no policy may take away. */
const FRAMING: ReadonlySet<string> = new Set(["host", "content-length", "transfer-encoding"]);

/** What a client may send raw in a query, one character a byte, and a policy may not. */
const UNSAFE_IN_QUERY = /^\?|[^!-~]|#/g;

/** Made once: an answer says the same to everyone, whatever was wrong with the key. */
const missing = respond(401, {
  headers: { "www-authenticate": "ApiKey" },
  body: "API key required",
  reason: "api_key_missing",
});
const invalid = respond(403, { body: "API key not valid", reason: "api_key_invalid" });

/** Lets a request pass only with one of the configured keys. The policy keeps digests of them, not the keys. */
export const getPolicy: PolicyFactory<Params> = (_metadata, params) => {
  const digests = params.keys.map(digest);
  const { in: place, name, keepCredential } = params;
  const withoutHeader = { removeHeaders: [name] };
  return {
    onRequest(ctx): RequestResult {
      const presented = place === "header" ? ctx.headers.getAll(name) : ctx.query.getAll(name);
      const key = presented[0];
      if (key === undefined || key === "") return missing;
      // Two keys: which of them counts would be a guess, and the upstream's guess may be another.
      if (presented.length > 1 || !isKnown(digests, digest(key))) return invalid;
      if (keepCredential) return;
      return place === "header" ? withoutHeader : { query: queryWithout(ctx, name) };
    },
  };
};

/** What the schema cannot say. */
export function validate(params: Params): string[] {
  const problems: string[] = [];
  if (new Set(params.keys).size < params.keys.length) problems.push("keys has the same key twice");
  if (params.in === "header" && FRAMING.has(params.name.toLowerCase())) {
    problems.push(`name is "${params.name}", a header that can be taken away is needed`);
  }
  return problems;
}

/** The query without the key, and the rest as the client wrote it: it may be signed. */
function queryWithout(ctx: RequestContext, name: string): string | null {
  const kept = ctx.rawQuery.split("&").filter((pair) => !new URLSearchParams(pair).has(name));
  return kept.length === 0 ? null : kept.join("&").replaceAll(UNSAFE_IN_QUERY, percentEncode);
}

function percentEncode(character: string): string {
  return `%${character.charCodeAt(0).toString(16).toUpperCase().padStart(2, "0")}`;
}

/** Digests have one length, so comparing them says nothing about the length of a key. */
function digest(key: string): Uint8Array {
  return Bun.CryptoHasher.hash("sha256", key);
}

/** Compares with every key in constant time and never stops early: time says nothing about which key matched. */
function isKnown(digests: readonly Uint8Array[], candidate: Uint8Array): boolean {
  let known = false;
  for (const one of digests) known = crypto.timingSafeEqual(one, candidate) || known;
  return known;
}
