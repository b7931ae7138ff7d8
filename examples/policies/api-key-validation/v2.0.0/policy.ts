import {
  type HeaderChanges,
  type PolicyFactory,
  type RequestContext,
  type RequestResult,
  respond,
} from "@policy-engine/sdk";
import type { Params } from "./params.gen.ts";

type Consumer = Params["consumers"][number];

/** A key's digest, with everything that happens when a client presents that key, made beforehand. */
interface KnownKey {
  readonly digest: Uint8Array;
  readonly auth: Readonly<{ subject: string; scheme: string; claims: Readonly<Record<string, string>> }>;
  readonly changes: HeaderChanges;
}

/** Headers that no policy may set or take away. */
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

/**
 * Lets a request pass only with a key of a consumer. Later policies read who it is in `metadata.get("auth")`,
 * the upstream in headers. The policy keeps digests of the keys, not the keys.
 */
export const getPolicy: PolicyFactory<Params> = (_metadata, params) => {
  const known = params.consumers.flatMap((consumer) => knownKeys(consumer, params));
  const { in: place, name, keepCredential } = params;
  return {
    onRequest(ctx): RequestResult {
      const presented = place === "header" ? ctx.headers.getAll(name) : ctx.query.getAll(name);
      const key = presented[0];
      if (key === undefined || key === "") return missing;
      // Two keys: which of them counts would be a guess, and the upstream's guess may be another.
      const match = presented.length > 1 ? undefined : find(known, digest(key));
      if (match === undefined) return invalid;
      ctx.metadata.set("auth", match.auth);
      if (place === "header" || keepCredential) return match.changes;
      return { ...match.changes, query: queryWithout(ctx, name) };
    },
  };
};

/** What the schema cannot say. Problems never quote a key, only its place. */
export function validate(params: Params): string[] {
  const problems: string[] = [];
  const ids = new Set<string>();
  const keys = new Set<string>();
  for (const [index, consumer] of params.consumers.entries()) {
    if (ids.has(consumer.id))
      problems.push(`consumers[${index}].id is "${consumer.id}", which another one has too`);
    ids.add(consumer.id);
    for (const [place, key] of consumer.keys.entries()) {
      if (keys.has(key)) problems.push(`consumers[${index}].keys[${place}] is a key that stands there twice`);
      keys.add(key);
    }
  }
  const headers = [params.subjectHeader, ...Object.keys(params.attributeHeaders)];
  if (params.in === "header") headers.push(params.name);
  const names = headers.map((name) => name.toLowerCase());
  for (const name of new Set(names)) {
    if (FRAMING.has(name))
      problems.push(`"${name}" is a header that a policy cannot change, another one is needed`);
    if (names.indexOf(name) !== names.lastIndexOf(name)) problems.push(`"${name}" is named for two purposes`);
  }
  return problems;
}

function knownKeys(consumer: Consumer, params: Params): KnownKey[] {
  // Frozen, as every request of the consumer shares it.
  const auth = Object.freeze({ subject: consumer.id, scheme: "api-key", claims: consumer.attributes });
  const setHeaders: Record<string, string> = { [params.subjectHeader]: consumer.id };
  for (const [header, attribute] of Object.entries(params.attributeHeaders)) {
    if (Object.hasOwn(consumer.attributes, attribute)) setHeaders[header] = consumer.attributes[attribute]!;
  }
  // All of them, also those this consumer has no value for: a client must not fill the gap.
  const removeHeaders = [params.subjectHeader, ...Object.keys(params.attributeHeaders)];
  if (params.in === "header" && !params.keepCredential) removeHeaders.push(params.name);
  const changes = { removeHeaders, setHeaders };
  return consumer.keys.map((key) => ({ digest: digest(key), auth, changes }));
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
function find(known: readonly KnownKey[], candidate: Uint8Array): KnownKey | undefined {
  let match: KnownKey | undefined;
  for (const one of known) if (crypto.timingSafeEqual(one.digest, candidate)) match = one;
  return match;
}
