import type { PolicyFactory } from "@policy-engine/sdk";

interface Params {
  readonly key: string;
  readonly value?: string;
  readonly fromHeader?: string;
}

export const getPolicy: PolicyFactory<Params> = (_metadata, { key, value, fromHeader }) => ({
  onRequest(ctx): undefined {
    ctx.metadata.set(key, fromHeader === undefined ? value : ctx.headers.get(fromHeader));
  },
});
