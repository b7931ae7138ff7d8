import type { PolicyFactory, RequestResult } from "@policy-engine/sdk";

interface Params {
  readonly label: string;
  readonly suffix: string;
}

export const getPolicy: PolicyFactory<Params> = ({ version }, { label, suffix }) => ({
  async onRequest(ctx): Promise<RequestResult> {
    // Asynchronous, unlike v1: order must not depend on it.
    await Promise.resolve();
    return {
      appendHeaders: { "x-trace": `${label}${suffix}` },
      setHeaders: { "x-before": ctx.headers.getAll("x-trace").join("|"), "x-tag-version": version },
    };
  },
});
