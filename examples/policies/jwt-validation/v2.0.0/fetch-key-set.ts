/** The longest JWK Set that is read: a hundred keys with long certificate chains. */
const MAX_BYTES = 512 * 1024;
/** How long an issuer may take for its answer, to the last byte. */
const TIMEOUT_MS = 5000;

export interface FetchOptions {
  /** Entity tag of the set that is there. */
  readonly etag: string | undefined;
  /** Ends the wait. */
  readonly signal: AbortSignal;
}

/** What an issuer published. `text` is undefined where the set is the one that is there. */
export interface Published {
  readonly text: string | undefined;
  readonly etag: string | undefined;
  /** How long the issuer says it will stay so; undefined where it does not say. */
  readonly maxAgeMs: number | undefined;
}

/**
 * Fetches a JWK Set, bounded in size and time. Its content is for others to judge, whatever its type claims.
 * @throws {Error} If there is none. A redirect is none: it could lead anywhere.
 */
export async function fetchKeySet(url: string, { etag, signal }: FetchOptions): Promise<Published> {
  const bounded = AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MS)]);
  const response = await fetch(url, {
    headers: {
      accept: "application/jwk-set+json, application/json",
      "accept-encoding": "identity",
      ...(etag !== undefined && { "if-none-match": etag }),
    },
    redirect: "manual",
    // A few kilobytes could unpack to gigabytes.
    decompress: false,
    signal: bounded,
  });
  try {
    const facts = { etag: response.headers.get("etag") ?? undefined, maxAgeMs: maxAgeOf(response.headers) };
    if (response.status === 304 && etag !== undefined) return { ...facts, etag, text: undefined };
    if (response.status !== 200) throw new Error(`it answered ${response.status}, 200 is needed`);
    const coding = response.headers.get("content-encoding") ?? "identity";
    if (coding !== "identity") throw new Error("its answer is compressed, which was not asked for");
    return { ...facts, text: await readBounded(response) };
  } finally {
    // Ends the transfer of what is not wanted.
    await response.body?.cancel().catch(() => {});
  }
}

async function readBounded(response: Response): Promise<string> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  const reader = response.body?.getReader();
  try {
    for (let next = await reader?.read(); next !== undefined && !next.done; next = await reader?.read()) {
      length += next.value.length;
      if (length > MAX_BYTES) throw new Error(`its answer has more than ${MAX_BYTES} bytes`);
      chunks.push(next.value);
    }
  } finally {
    await reader?.cancel().catch(() => {});
    reader?.releaseLock();
  }
  return new TextDecoder().decode(Buffer.concat(chunks));
}

function maxAgeOf(headers: Headers): number | undefined {
  const seconds = /(?:^|,)\s*max-age\s*=\s*"?(\d{1,9})"?/i.exec(headers.get("cache-control") ?? "")?.[1];
  return seconds === undefined ? undefined : Number(seconds) * 1000;
}
