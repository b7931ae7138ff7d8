import { type PolicyFactory, type RequestContext, respond } from "@policy-engine/sdk";

interface Params {
  readonly phase: "request" | "response";
  readonly whenHeader?: string;
  readonly status: number;
  readonly body: string;
  readonly reason: string;
  readonly headers: Readonly<Record<string, string | readonly string[]>>;
}

export const getPolicy: PolicyFactory<Params> = (_metadata, params) => {
  const { phase, whenHeader, status, ...rest } = params;
  const decide = (request: Pick<RequestContext, "headers">) =>
    whenHeader === undefined || request.headers.has(whenHeader) ? respond(status, rest) : undefined;
  return phase === "request"
    ? { onRequest: (ctx) => decide(ctx) }
    : { onResponse: (ctx) => decide(ctx.request) };
};
