import type { PolicyMetadata } from "@policy-engine/sdk";
import { milliseconds } from "./duration.ts";
import type { JwksPoller } from "./jwks-poller.ts";
import { FixedKeys, type KeySource } from "./key-source.ts";
import type { Params } from "./params.gen.ts";
import { sharedPoller } from "./shared-poller.ts";
import type { TokenIssuer } from "./token-verifier.ts";

/** Issuers with their keys, or with something that goes on asking for them. */
export interface OpenIssuers {
  readonly issuers: readonly TokenIssuer[];
  /** By URL, for the instance that takes this one's place. */
  readonly pollers: ReadonlyMap<string, JwksPoller>;
}

/**
 * Reads the keys that stand in the configuration and starts asking for the others, without waiting for answers.
 * @throws {Error} If keys in the configuration cannot be used.
 */
export async function openIssuers(
  params: Params,
  {
    log,
    signal,
    known,
  }: Pick<PolicyMetadata, "log" | "signal"> & { readonly known: OpenIssuers | undefined },
): Promise<OpenIssuers> {
  // Keys in the configuration first: where they are wrong, nothing needs to be asked for.
  const fixed = await Promise.all(params.issuers.map(({ jwks }) => jwks && readFixedKeys(jwks, params)));
  const pollers = new Map<string, JwksPoller>();
  const issuers: TokenIssuer[] = [];
  for (const [index, { issuer, audiences, jwksUrl: url = "" }] of params.issuers.entries()) {
    let source: KeySource | undefined = fixed[index] || pollers.get(url);
    if (source === undefined) {
      const poller = await sharedPoller({
        url,
        algorithms: params.algorithms,
        refreshMs: milliseconds(params.refreshInterval),
        keepMs: milliseconds(params.keepKeysFor),
        waitMs: milliseconds(params.keyWait),
        log,
        signal,
        previous: known?.pollers.get(url),
      });
      pollers.set(url, poller);
      source = poller;
    }
    issuers.push({ issuer, audiences, source });
  }
  return { issuers, pollers };
}

function readFixedKeys(text: string, { algorithms }: Params): Promise<FixedKeys> {
  return FixedKeys.read(text, { algorithms, secrets: true }).catch((error: Error) => {
    throw new Error(`Cannot use jwks: ${error.message}`);
  });
}
