import type { PolicyFactory, RequestResult } from "@policy-engine/sdk";

interface Params {
  readonly how:
    | "create"
    | "hang"
    | "hang-request"
    | "throw"
    | "reject"
    | "nonsense"
    | "bad-header"
    | "throw-response";
  readonly whenHeader?: string;
}

function failing(how: Params["how"]): RequestResult | Promise<RequestResult> {
  switch (how) {
    case "throw":
      throw new Error("thrown on purpose, with a detail that clients must not see");
    case "reject":
      return Promise.reject(new Error("rejected on purpose"));
    case "nonsense":
      return { nonsense: true } as RequestResult;
    case "bad-header":
      return { setHeaders: { "x-split": "a\r\nx-injected: b" } };
    case "hang-request":
      return new Promise(() => {});
    default:
      return undefined;
  }
}

export const getPolicy: PolicyFactory<Params> = (_metadata, { how, whenHeader }) => {
  if (how === "hang") return new Promise(() => {});
  if (how === "create") throw new Error("getPolicy failed on purpose");
  return {
    onRequest: (ctx) => (whenHeader === undefined || ctx.headers.has(whenHeader) ? failing(how) : undefined),
    onResponse(): undefined {
      if (how === "throw-response") throw new Error("thrown on purpose");
    },
  };
};
