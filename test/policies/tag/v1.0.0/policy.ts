import type { PolicyFactory, RequestResult } from "@policy-engine/sdk";

export const getPolicy: PolicyFactory<{ readonly label: string }> = (_metadata, { label }) => ({
  onRequest: (): RequestResult => ({ appendHeaders: { "x-trace": label } }),
});
