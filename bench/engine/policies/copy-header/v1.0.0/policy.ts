import type { PolicyFactory, RequestResult, ResponseResult } from "@policy-engine/sdk";

interface Copy {
  readonly from: string;
  readonly to: string;
}

interface Params {
  readonly request: Copy;
  readonly response: Copy;
}

/** A new result for each exchange, from what this exchange says: nothing that could be made once. */
export const getPolicy: PolicyFactory<Params> = (_metadata, { request, response }) => ({
  onRequest(ctx): RequestResult {
    return { setHeaders: { [request.to]: ctx.headers.get(request.from) ?? "none" } };
  },
  onResponse(ctx): ResponseResult {
    return { setHeaders: { [response.to]: ctx.headers.get(response.from) ?? "none" } };
  },
});
