import type { PolicyFactory } from "@policy-engine/sdk";

export const getPolicy: PolicyFactory = (metadata) => ({
  onRequest(): undefined {},
  onResponse(): undefined {},
  onEnd(ctx): void {
    ctx.log.info("exchange ended", { outcome: ctx.outcome, reason: ctx.reason });
  },
  close(): void {
    metadata.log.info("instance closed");
  },
});
