import type { Policy, PolicyFactory, RequestContext } from "@policy-engine/sdk";

interface Params {
  readonly how: "log" | "throw" | "reject" | "create" | "close" | "end" | "stray" | "late";
  readonly plain: string;
  readonly nested?: Readonly<Record<string, unknown>>;
}

/** An error that quotes every secret, whole and in its parts. */
function confession(params: Params): Error {
  const cause = new AggregateError([new TypeError(JSON.stringify(params.nested))], params.plain);
  const text = Object.values(secretsIn(params)).join(" ");
  return Object.assign(new Error(`cannot use ${text}`, { cause }), { code: params.plain });
}

function secretsIn(value: unknown): string[] {
  if (typeof value === "string") return [value];
  return typeof value === "object" && value !== null ? Object.values(value).flatMap(secretsIn) : [];
}

function tell(ctx: RequestContext, params: Params): void {
  const { plain, nested } = params;
  for (const level of ["debug", "info", "warn", "error"] as const) {
    const map = new Map([[plain, new Set(secretsIn(nested))]]);
    ctx.log[level](`level ${level}: ${plain}`, { params, map, [plain]: 1, error: confession(params) });
  }
}

export const getPolicy: PolicyFactory<Params> = (metadata, params): Policy => {
  const { how } = params;
  if (how === "create") throw confession(params);
  return {
    onRequest(ctx): undefined | Promise<undefined> {
      if (how === "log") tell(ctx, params);
      if (how === "throw") throw confession(params);
      if (how === "reject") return Promise.reject(confession(params));
      if (how === "stray") void Promise.reject(confession(params));
      if (how === "late") return Bun.sleep(200).then(() => Promise.reject(confession(params)));
      return undefined;
    },
    onEnd(): void {
      if (how === "end") throw confession(params);
    },
    close(): void {
      metadata.log.debug("closing", { params });
      if (how === "close") throw confession(params);
    },
  };
};
