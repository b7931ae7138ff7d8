import {
  type Policy,
  type PolicyFactory,
  type RequestContext,
  type RequestResult,
  type ResponseContext,
  type ResponseResult,
  respond,
} from "@policy-engine/sdk";
import type { Params } from "./params.gen.ts";
import { upperCaseStrings } from "./upper-case-strings.ts";

/** Bytes that are no UTF-8 must not be replaced by others; a byte order mark stays. */
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const UTF_8 = /^(utf-?8|us-ascii)$/;

/** Changes bodies of JSON and of text, and leaves every other as it is. */
export const getPolicy: PolicyFactory<Params> = (_metadata, { directions }) => {
  const policy: Policy = {};
  if (directions.includes("request")) {
    policy.onRequest = (ctx): RequestResult => upperCase(ctx, 400);
  }
  if (directions.includes("response")) {
    policy.onResponse = (ctx): ResponseResult => upperCase(ctx, 502);
  }
  return policy;
};

/** The schema says everything. */
export function validate(_params: Params): string[] {
  return [];
}

/** The body that takes the place of this one; an answer if it says that it is JSON and is not. */
function upperCase(
  ctx: RequestContext | ResponseContext,
  refusal: number,
): (RequestResult & ResponseResult) | undefined {
  const kind = kindOf(ctx.headers.get("content-type"));
  if (kind === undefined || ctx.body === null || ctx.body.length === 0) return undefined;
  const text = decode(ctx.body);
  if (text === undefined) return undefined;
  if (kind === "json" && !isJson(ctx)) {
    return respond(refusal, { body: "The body is not JSON, as its content-type says", reason: "not_json" });
  }
  const body = kind === "json" ? upperCaseStrings(text) : text.toUpperCase();
  return body === text ? undefined : { body };
}

/** Undefined for what cannot be changed without doing harm: other types, and other character sets. */
function kindOf(contentType = ""): "json" | "text" | undefined {
  const [type = "", ...parameters] = contentType.split(";").map((part) => part.trim().toLowerCase());
  const charset = parameters.find((part) => part.startsWith("charset="))?.slice("charset=".length);
  if (charset !== undefined && !UTF_8.test(charset.replaceAll('"', ""))) return undefined;
  if (type.startsWith("text/")) return "text";
  return type === "application/json" || type.endsWith("+json") ? "json" : undefined;
}

function decode(body: Uint8Array): string | undefined {
  try {
    return decoder.decode(body);
  } catch {
    return undefined;
  }
}

function isJson(ctx: RequestContext | ResponseContext): boolean {
  try {
    ctx.json();
    return true;
  } catch {
    return false;
  }
}
