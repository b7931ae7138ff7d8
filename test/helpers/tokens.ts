import { exportJWK, generateKeyPair, type JWK, SignJWT } from "jose";

export interface TokenOptions {
  /** Members of the header beside `alg` and `kid`; undefined takes one away. */
  readonly header?: Readonly<Record<string, unknown>>;
}

/** An issuer with one key, to make tokens for tests. */
export class TestIssuer {
  readonly alg: string;
  readonly kid: string;
  /** The public key, as it is published. */
  readonly jwk: JWK;
  readonly #privateKey: CryptoKey;

  private constructor(parts: { alg: string; kid: string; jwk: JWK; privateKey: CryptoKey }) {
    this.alg = parts.alg;
    this.kid = parts.kid;
    this.jwk = parts.jwk;
    this.#privateKey = parts.privateKey;
  }

  static async create(alg = "ES256", kid = `${alg}-1`): Promise<TestIssuer> {
    const { publicKey, privateKey } = await generateKeyPair(alg, { extractable: true });
    const jwk = { ...(await exportJWK(publicKey)), kid, alg, use: "sig" };
    return new TestIssuer({ alg, kid, jwk, privateKey });
  }

  get jwks(): string {
    return JSON.stringify({ keys: [this.jwk] });
  }

  /** Signs claims as they are. */
  sign(claims: object, { header = {} }: TokenOptions = {}): Promise<string> {
    const protectedHeader = { alg: this.alg, kid: this.kid, ...header };
    return new SignJWT(claims as Record<string, unknown>)
      .setProtectedHeader(protectedHeader)
      .sign(this.#privateKey);
  }

  /** Signs any header and payload, be they nonsense. */
  async signRaw(header: string, payload: string): Promise<string> {
    const input = `${base64url(header)}.${base64url(payload)}`;
    const algorithm = { ES256: { name: "ECDSA", hash: "SHA-256" }, RS256: "RSASSA-PKCS1-v1_5" }[this.alg];
    if (algorithm === undefined)
      throw new Error(`Cannot sign with ${this.alg} here: ES256 or RS256 is needed`);
    const signature = await crypto.subtle.sign(algorithm, this.#privateKey, new TextEncoder().encode(input));
    return `${input}.${base64url(new Uint8Array(signature))}`;
  }
}

/** Whole seconds since 1970, from now. */
export function inSeconds(offset: number): number {
  return Math.floor(Date.now() / 1000) + offset;
}

export function base64url(data: string | Uint8Array): string {
  return Buffer.from(data).toString("base64url");
}
