import type { PolicyFactory, ResponseResult } from "@policy-engine/sdk";

export const getPolicy: PolicyFactory = () => ({
  onResponse: (ctx): ResponseResult => ({ setHeaders: { "x-denied": String(ctx.denied) } }),
});
