import {
  type ImmediateResponse,
  type PolicyFactory,
  type RequestContext,
  type RequestResult,
  respond,
} from "@policy-engine/sdk";
import { findDuplicates } from "./find-duplicates.ts";
import { compileSchema } from "./json-schema.ts";
import type { Params } from "./params.gen.ts";
import { type BodyError, type Place, Report, TooMuchWork } from "./report.ts";
import { type Check, isObject } from "./schema-node.ts";

/** Other readers replace, refuse or keep what is no UTF-8: nobody knows what the upstream would see. */
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const JSON_TYPE = /^application\/(?:json|[a-z0-9!#$&^_.+-]+\+json)$/;

/** Checks the JSON bodies of requests, and answers those that do not fit with problem details (RFC 9457). */
export const getPolicy: PolicyFactory<Params> = (_metadata, params) => {
  const { required = [], schema = true, methods, otherContentTypes, maxErrors } = params;
  const checks: readonly Check[] = [...required.map(requiredField), compileSchema(schema, () => {})];
  const refuseOthers = otherContentTypes === "refuse";
  return {
    onRequest(ctx): RequestResult {
      // Some upstreams take "post" for POST.
      if (!methods.includes(ctx.method.toUpperCase())) return;
      if (!isJsonType(ctx.headers.get("content-type"))) {
        return refuseOthers
          ? problem(415, "The body has to be JSON, and to say so in its content-type")
          : undefined;
      }
      const report = new Report(maxErrors);
      try {
        const json = read(ctx);
        if (json === undefined) return problem(400, "The body is not JSON, or nested too deep");
        findDuplicates(json.text, report);
        for (const check of checks) if (!report.full) check(json.value, undefined, report);
      } catch (error) {
        if (error instanceof TooMuchWork) return problem(413, "The body is too large to be checked");
        throw error;
      }
      if (report.errors.length > 0) return problem(400, "The body is not as it should be", report.errors);
    },
  };
};

/** What the definition cannot say: that something is checked, and with keywords that are supported. */
export function validate({ required, schema }: Params): string[] {
  if (required === undefined && schema === undefined) {
    return ["nothing is checked, required or schema is needed"];
  }
  const problems: string[] = [];
  compileSchema(schema ?? true, (pointer, message) => problems.push(`schema${pointer} ${message}`));
  return problems;
}

function read(ctx: RequestContext): { readonly value: unknown; readonly text: string } | undefined {
  try {
    const text = decoder.decode(ctx.body ?? new Uint8Array(0));
    // Readers differ about a byte order mark, which RFC 8259 forbids.
    return text.startsWith("\ufeff") ? undefined : { value: ctx.json(), text };
  } catch {
    return undefined;
  }
}

function isJsonType(contentType = ""): boolean {
  return JSON_TYPE.test(contentType.split(";", 1)[0]!.trim().toLowerCase());
}

/** A field that must be there and not null, by its name or its JSON Pointer (RFC 6901). */
function requiredField(field: string): Check {
  const tokens = field.startsWith("/")
    ? field
        .slice(1)
        .split("/")
        .map((token) => token.replaceAll("~1", "/").replaceAll("~0", "~"))
    : [field];
  return (value, _place, report) => {
    let [found, place]: [unknown, Place | undefined] = [value, undefined];
    for (const key of tokens) {
      place = { parent: place, key };
      found = memberOf(found, key);
    }
    report.spend(tokens.length);
    if (found === undefined || found === null) report.add(place, "is missing");
  };
}

function memberOf(value: unknown, key: string): unknown {
  if (Array.isArray(value)) return /^(0|[1-9][0-9]*)$/.test(key) ? value[Number(key)] : undefined;
  return isObject(value) && Object.hasOwn(value, key) ? value[key] : undefined;
}

const TITLES = { 400: "Bad Request", 413: "Content Too Large", 415: "Unsupported Media Type" } as const;
const REASONS = {
  400: "body_invalid",
  413: "body_too_large_to_check",
  415: "content_type_not_json",
} as const;

function problem(
  status: keyof typeof TITLES,
  detail: string,
  errors?: readonly BodyError[],
): ImmediateResponse {
  const details = { type: "about:blank", title: TITLES[status], status, detail, ...(errors && { errors }) };
  const headers = { "content-type": "application/problem+json" };
  return respond(status, { headers, body: JSON.stringify(details), reason: REASONS[status] });
}
