import type { PolicyFactory } from "@policy-engine/sdk";

interface Params {
  readonly key: string;
  readonly header: string;
}

export const getPolicy: PolicyFactory<Params> = (_metadata, { key, header }) => ({
  onRequest: (ctx) => ({ setHeaders: { [header]: String(ctx.metadata.get(key)) } }),
  onResponse: (ctx) => ({ setHeaders: { [header]: String(ctx.metadata.get(key)) } }),
});
