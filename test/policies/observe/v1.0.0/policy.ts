import type { PolicyFactory, RequestView } from "@policy-engine/sdk";

/** Values are percent-encoded, so that any text fits into a header. */
function encode(facts: unknown): string {
  return encodeURIComponent(JSON.stringify(facts));
}

function describe(request: RequestView): Record<string, unknown> {
  const { method, path, rawPath, query, authority, scheme, original, client } = request;
  return {
    method,
    path,
    rawPath,
    query: query.toString(),
    authority,
    scheme,
    headers: [...request.headers.entries()],
    original: {
      method: original.method,
      path: original.path,
      authority: original.authority,
      headers: [...original.headers.entries()],
    },
    client: client.address,
    body: request.body,
  };
}

export const getPolicy: PolicyFactory<{ readonly header: string }> = ({ route, engine }, { header }) => ({
  onRequest: (ctx) => ({
    setHeaders: {
      [header]: encode({
        ...describe(ctx),
        requestId: ctx.requestId,
        route: ctx.route,
        place: route,
        engine,
      }),
    },
  }),
  onResponse: (ctx) => ({
    setHeaders: {
      [header]: encode({
        status: ctx.status,
        denied: ctx.denied,
        requestId: ctx.requestId,
        headers: [...ctx.headers.entries()],
        request: describe(ctx.request),
        metadata: Object.fromEntries(ctx.metadata),
      }),
    },
  }),
});
