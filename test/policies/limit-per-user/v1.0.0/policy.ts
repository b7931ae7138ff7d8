import { type PolicyFactory, type RequestResult, respond } from "@policy-engine/sdk";

export const getPolicy: PolicyFactory<{ readonly requests: number }> = (_metadata, { requests }) => {
  const seen = new Map<unknown, number>();
  return {
    onRequest(ctx): RequestResult {
      const user = ctx.metadata.get("user");
      const count = (seen.get(user) ?? 0) + 1;
      seen.set(user, count);
      return count > requests ? respond(429, { body: "too many", reason: "rate_limited" }) : undefined;
    },
  };
};
