import { createHash } from "node:crypto";
import {
  type ImmediateResponse,
  type PolicyFactory,
  type RequestChanges,
  type RequestContext,
  type ResponseChanges,
  type ResponseContext,
  respond,
} from "@policy-engine/sdk";

interface Work {
  readonly see?: string;
  readonly log: boolean;
  readonly edit: "none" | "append" | "upper" | "set" | "empty";
  readonly text: string;
  readonly changes: RequestChanges & ResponseChanges & { readonly status?: never };
  readonly denyAt?: number;
  readonly later: boolean;
  readonly never: boolean;
}

interface Params {
  readonly request?: Work;
  readonly response?: Work;
}

type Result = ImmediateResponse | Work["changes"];

export const getPolicy: PolicyFactory<Params> = (_metadata, { request, response }) => ({
  ...(request && { onRequest: (ctx) => perform(request, ctx) }),
  ...(response && { onResponse: (ctx) => perform(response, ctx) }),
});

function perform(work: Work, ctx: RequestContext | ResponseContext): Result | Promise<Result> {
  if (work.never) return new Promise(() => {});
  return work.later
    ? new Promise((resolve) => setTimeout(() => resolve(decide(work, ctx)), 1))
    : decide(work, ctx);
}

function decide(work: Work, ctx: RequestContext | ResponseContext): Result {
  const bytes = ctx.body ?? new Uint8Array(0);
  if (work.log) ctx.log.info("read a body", { bytes: bytes.length });
  if (work.denyAt === bytes.length)
    return respond(403, { body: `denied at ${bytes.length}`, reason: "denied_at" });
  const body = edited(work, bytes);
  const { see, changes } = work;
  const setHeaders = { ...changes.setHeaders, ...(see !== undefined && { [see]: print(bytes) }) };
  return { ...changes, setHeaders, ...(body !== undefined && { body }) };
}

function edited({ edit, text }: Work, bytes: Uint8Array): Uint8Array | string | null | undefined {
  switch (edit) {
    case "none":
      return undefined;
    case "append":
      return Buffer.concat([bytes, Buffer.from(text)]);
    case "upper":
      return bytes.map((byte) => (byte >= 0x61 && byte <= 0x7a ? byte - 0x20 : byte));
    case "set":
      return text;
    case "empty":
      return null;
  }
}

function print(bytes: Uint8Array): string {
  return `${bytes.length}:${createHash("sha256").update(bytes).digest("hex").slice(0, 16)}`;
}
