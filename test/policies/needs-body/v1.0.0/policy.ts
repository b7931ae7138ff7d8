import type { PolicyFactory } from "@policy-engine/sdk";

export const getPolicy: PolicyFactory = () => ({
  onRequest: (ctx) => ({ setHeaders: { "x-body": String(ctx.body?.length) } }),
});
