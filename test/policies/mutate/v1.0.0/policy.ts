import type { PolicyFactory, RequestChanges, ResponseChanges } from "@policy-engine/sdk";

interface Params {
  readonly request: RequestChanges;
  readonly response: ResponseChanges;
}

export const getPolicy: PolicyFactory<Params> = (_metadata, { request, response }) => ({
  onRequest: () => request,
  onResponse: () => response,
});
