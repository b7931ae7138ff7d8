import {
  type Policy,
  type PolicyFactory,
  type RequestContext,
  type RequestResult,
  type ResponseContext,
  type ResponseResult,
  respond,
} from "@policy-engine/sdk";
import type { Params, ParamsSize } from "./params.gen.ts";

const UNITS: Readonly<Record<string, number>> = { "": 1, B: 1, KiB: 1024, MiB: 1024 ** 2, GiB: 1024 ** 3 };
/** The engine holds no larger body. */
const LARGEST = 1024 ** 3;

/** Refuses bodies that are too large, by the bytes as they came. */
export const getPolicy: PolicyFactory<Params> = (_metadata, { request, response }) => {
  const policy: Policy = {};
  if (request !== undefined) {
    const most = bytesOf(request);
    const refusal = respond(413, {
      body: `The body may have at most ${most} bytes`,
      reason: "request_body_too_large",
    });
    policy.onRequest = (ctx): RequestResult => (isOver(ctx, most) ? refusal : undefined);
  }
  if (response !== undefined) {
    const most = bytesOf(response);
    const refusal = respond(502, {
      body: "The upstream's response is too large",
      reason: "response_body_too_large",
    });
    policy.onResponse = (ctx): ResponseResult => (isOver(ctx, most) ? refusal : undefined);
  }
  return policy;
};

/** What the schema cannot say: how large a number with a unit is. */
export function validate({ request, response }: Params): string[] {
  return Object.entries({ request, response }).flatMap(([name, size]) =>
    size !== undefined && bytesOf(size) > LARGEST
      ? [`${name} is ${JSON.stringify(size)}, at most 1GiB is needed`]
      : [],
  );
}

function isOver(ctx: RequestContext | ResponseContext, most: number): boolean {
  return (ctx.body?.length ?? 0) > most;
}

function bytesOf(size: ParamsSize): number {
  if (typeof size === "number") return size;
  const [, number, unit = ""] = /^([0-9]+)(\D*)$/.exec(size)!;
  return Number(number) * UNITS[unit]!;
}
