import type { PolicyFactory, ResponseResult } from "@policy-engine/sdk";

export const getPolicy: PolicyFactory<{ readonly label: string }> = (_metadata, { label }) => ({
  onResponse: (): ResponseResult => ({ appendHeaders: { "x-trace": label } }),
});
