import type { PolicyFactory, RequestResult } from "@policy-engine/sdk";

export const getPolicy: PolicyFactory = () => ({
  onRequest(ctx): RequestResult {
    return { body: ctx.body, setHeaders: { "x-bench-request": String(ctx.body?.length) } };
  },
});
