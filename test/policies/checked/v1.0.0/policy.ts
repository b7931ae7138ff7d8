import type { PolicyFactory } from "@policy-engine/sdk";

interface Params {
  readonly jwksUrl: string;
  readonly requestsPerSecond: number;
  readonly tenant?: string;
  readonly key?: string;
  readonly burst: number;
}

export const getPolicy: PolicyFactory<Params> = (_metadata, params) => {
  const { key, ...rest } = params;
  const changes = {
    setHeaders: { "x-params": JSON.stringify(rest), "x-key-length": String(key?.length ?? 0) },
  };
  return { onRequest: () => changes };
};
