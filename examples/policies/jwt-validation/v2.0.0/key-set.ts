import { type CryptoKey, importJWK, type JWK } from "jose";

/** The most keys of one set; issuers have a handful. */
const MAX_KEYS = 100;
/** The most keys that are tried on one token, where its `kid` does not tell which: each try costs a verification. */
const MAX_TRIES = 4;
/** The longest part of a key: a modulus of 8192 bits has 1366 characters. */
const MAX_PART_CHARACTERS = 2048;
/** RFC 7518 section 3.3; the longest is what keeps one verification in the order of a millisecond. */
const RSA_BITS = { min: 2048, max: 8192 };

type Family = "RSA" | "P-256" | "P-384" | "P-521" | "Ed25519" | "secret";

/** The kind of key that each algorithm takes. An algorithm that is not here has none. */
const FAMILY: Readonly<Record<string, Family>> = {
  ...{ RS256: "RSA", RS384: "RSA", RS512: "RSA", PS256: "RSA", PS384: "RSA", PS512: "RSA" },
  ...{ ES256: "P-256", ES384: "P-384", ES512: "P-521", EdDSA: "Ed25519", Ed25519: "Ed25519" },
  ...{ HS256: "secret", HS384: "secret", HS512: "secret" },
};

/** A secret has to be as long as the hash (RFC 7518 section 3.2). */
const SECRET_BYTES: Readonly<Record<string, number>> = { HS256: 32, HS384: 48, HS512: 64 };

/** What a public key is made of; all else in a JWK, a private part too, is left behind. */
const MEMBERS: Readonly<Record<Family, readonly string[]>> = {
  RSA: ["kty", "n", "e"],
  "P-256": ["kty", "crv", "x", "y"],
  "P-384": ["kty", "crv", "x", "y"],
  "P-521": ["kty", "crv", "x", "y"],
  Ed25519: ["kty", "crv", "x"],
  secret: ["kty", "k"],
};

/** A key of an issuer, good for one or more algorithms. */
export interface VerificationKey {
  /** Equal for equal keys. */
  readonly identity: string;
  readonly kid: string | undefined;
  readonly byAlgorithm: ReadonlyMap<string, CryptoKey | Uint8Array>;
  /** False once its issuer has taken it back: what it has verified counts no more. */
  active: boolean;
}

/** What a token's header says about its key. */
export interface KeyWish {
  readonly alg: string;
  readonly kid: string | undefined;
}

export interface KeySetOptions {
  /** The algorithms that are accepted. */
  readonly algorithms: readonly string[];
  /** Whether it may hold secrets. A set from a network never may. */
  readonly secrets: boolean;
}

/** The keys of one issuer at one time. */
export class KeySet {
  readonly keys: readonly VerificationKey[];

  constructor(keys: readonly VerificationKey[]) {
    this.keys = keys;
  }

  /** Keys that may have made a signature: those of the `kid` or, failing them, those that have none. */
  find({ alg, kid }: KeyWish): readonly VerificationKey[] {
    const able = this.keys.filter((key) => key.byAlgorithm.has(alg));
    if (kid === undefined) return able.slice(0, MAX_TRIES);
    const named = able.filter((key) => key.kid === kid);
    return (named.length > 0 ? named : able.filter((key) => key.kid === undefined)).slice(0, MAX_TRIES);
  }

  /** A set that takes this one's place. Keys that are in both stay what they are; the others are retired. */
  replacedBy(next: KeySet): KeySet {
    const known = new Map(this.keys.map((key) => [key.identity, key]));
    const merged = new KeySet(next.keys.map((key) => known.get(key.identity) ?? key));
    const kept = new Set(merged.keys);
    for (const key of this.keys) key.active = kept.has(key);
    return merged;
  }
}

/**
 * Reads a JWK Set (RFC 7517). Keys of other kinds or for other purposes are left out, as section 5 wants it.
 * @throws {Error} If it is none, is too large, or has no key that could verify anything. Quotes nothing of it.
 */
export async function readKeySet(text: string, options: KeySetOptions): Promise<KeySet> {
  const list = keyList(text);
  const keys = await Promise.all(list.map((jwk) => readKey(jwk, options)));
  const usable = new Map(keys.filter((key) => key !== undefined).map((key) => [key.identity, key]));
  if (usable.size === 0) throw new Error(`none of its ${list.length} keys can be used`);
  return new KeySet([...usable.values()]);
}

/** The list of keys in a JWK Set, before a look at any of them. */
export function keyList(text: string): readonly unknown[] {
  let set: unknown;
  try {
    set = JSON.parse(text);
  } catch {
    throw new Error("it is not JSON");
  }
  const list = isRecord(set) ? set.keys : undefined;
  if (!Array.isArray(list)) throw new Error('it is no JWK Set, an object with a list of "keys" is needed');
  if (list.length > MAX_KEYS) throw new Error(`it has ${list.length} keys, at most ${MAX_KEYS} are read`);
  return list;
}

async function readKey(jwk: unknown, options: KeySetOptions): Promise<VerificationKey | undefined> {
  if (!isRecord(jwk)) return undefined;
  const { kid, alg, use, key_ops: operations } = jwk;
  if (kid !== undefined && typeof kid !== "string") return undefined;
  if (use !== undefined && use !== "sig") return undefined;
  if (operations !== undefined && !(Array.isArray(operations) && operations.includes("verify")))
    return undefined;
  const family = familyOf(jwk);
  if (family === undefined || (family === "secret" && !options.secrets)) return undefined;
  const byAlgorithm = new Map<string, CryptoKey | Uint8Array>();
  const members = Object.fromEntries(MEMBERS[family].map((name) => [name, jwk[name]]));
  if (!Object.values(members).every(isPart)) return undefined;
  for (const algorithm of options.algorithms) {
    if (FAMILY[algorithm] !== family || !mayBeUsedFor(algorithm, alg)) continue;
    const key = await importKey(members, algorithm);
    if (key !== undefined) byAlgorithm.set(algorithm, key);
  }
  if (byAlgorithm.size === 0) return undefined;
  const identity = JSON.stringify([kid, [...byAlgorithm.keys()], members]);
  return { identity, kid, byAlgorithm, active: true };
}

function familyOf({ kty, crv }: Readonly<Record<string, unknown>>): Family | undefined {
  if (kty === "RSA") return "RSA";
  if (kty === "oct") return "secret";
  if (kty === "EC" && (crv === "P-256" || crv === "P-384" || crv === "P-521")) return crv;
  return kty === "OKP" && crv === "Ed25519" ? "Ed25519" : undefined;
}

/** Whether a JWK whose `alg` is this may be used so; EdDSA and Ed25519 are two names of one thing. */
function mayBeUsedFor(algorithm: string, alg: unknown): boolean {
  return (
    alg === undefined ||
    alg === algorithm ||
    (FAMILY[algorithm] === "Ed25519" && FAMILY[String(alg)] === "Ed25519")
  );
}

async function importKey(jwk: JWK, algorithm: string): Promise<CryptoKey | Uint8Array | undefined> {
  let key: CryptoKey | Uint8Array;
  try {
    key = await importJWK(jwk, algorithm);
  } catch {
    return undefined;
  }
  if (key instanceof Uint8Array) return key.length >= (SECRET_BYTES[algorithm] ?? 0) ? key : undefined;
  const bits = (key.algorithm as { modulusLength?: number }).modulusLength;
  return bits === undefined || (bits >= RSA_BITS.min && bits <= RSA_BITS.max) ? key : undefined;
}

function isPart(value: unknown): boolean {
  return typeof value === "string" && value.length <= MAX_PART_CHARACTERS;
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
