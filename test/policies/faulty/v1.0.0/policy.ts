import type { PolicyFactory, RequestContext, RequestResult } from "@policy-engine/sdk";

interface Params {
  readonly how:
    | "create"
    | "hang"
    | "hang-request"
    | "hang-listening"
    | "hang-response"
    | "throw"
    | "reject"
    | "reject-later"
    | "nonsense"
    | "half"
    | "bad-header"
    | "throw-response"
    | "block"
    | "late"
    | "leak-rejection"
    | "leak-exception"
    | "leak-writes"
    | "close";
  readonly whenHeader?: string;
  readonly forMs: number;
}

function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

function failing(ctx: RequestContext, { how, forMs }: Params): RequestResult | Promise<RequestResult> {
  switch (how) {
    case "throw":
      throw new Error("thrown on purpose, with a detail that clients must not see");
    case "reject":
      return Promise.reject(new Error("rejected on purpose"));
    case "reject-later":
      return pause(1).then(() => {
        throw new Error("rejected later on purpose");
      });
    case "nonsense":
      return { nonsense: true } as RequestResult;
    case "half":
      // All of it is fine but for the last.
      ctx.metadata.set("half", "left behind");
      return { ...MARKS, dynamicMetadata: { policy_engine: { half: 1n } } };
    case "bad-header":
      return { setHeaders: { "x-split": "a\r\nx-injected: b" } };
    case "hang-request":
      return new Promise(() => {});
    case "hang-listening":
      ctx.signal.addEventListener("abort", () =>
        ctx.log.info("told by its signal", { reason: ctx.signal.reason.name }),
      );
      return new Promise(() => {});
    case "block": {
      const end = performance.now() + forMs;
      while (performance.now() < end);
      return undefined;
    }
    case "late":
      return late(ctx, forMs);
    case "leak-rejection":
      void pause(1).then(() => leak("rejected behind its back"));
      return undefined;
    case "leak-exception":
      setTimeout(() => leak("thrown behind its back"), 1);
      return undefined;
    case "leak-writes":
      return leakWrites(ctx);
    default:
      return undefined;
  }
}

const MARKS = { path: "/marked", setHeaders: { "x-marked": "1" } };

/** Comes when its time is over, with changes and then in vain. */
async function late(ctx: RequestContext, forMs: number): Promise<RequestResult> {
  await pause(forMs);
  ctx.metadata.set("late", "left behind");
  if (!ctx.signal.aborted) throw new Error("The signal is not aborted though the time is over");
  return MARKS;
}

function leak(message: string): never {
  throw new Error(message);
}

/** Goes on writing into what it has returned and was given. */
function leakWrites(ctx: RequestContext): RequestResult {
  const result = { setHeaders: { "x-kept": "1" } as Record<string, string> };
  const { metadata } = ctx;
  for (const milliseconds of [0, 1, 5]) {
    setTimeout(() => {
      result.setHeaders["x-marked"] = "1";
      metadata.set("leaked", "left behind");
    }, milliseconds);
  }
  return result;
}

export const getPolicy: PolicyFactory<Params> = (_metadata, params) => {
  const { how, whenHeader } = params;
  if (how === "hang") return new Promise(() => {});
  if (how === "create") throw new Error("getPolicy failed on purpose");
  return {
    onRequest(ctx): RequestResult | Promise<RequestResult> {
      return whenHeader === undefined || ctx.headers.has(whenHeader) ? failing(ctx, params) : undefined;
    },
    onResponse(): undefined | Promise<undefined> {
      if (how === "throw-response") throw new Error("thrown on purpose");
      return how === "hang-response" ? new Promise(() => {}) : undefined;
    },
    close(): void {
      if (how === "close") throw new Error("close failed on purpose");
    },
  };
};
