import type { PolicyFactory } from "@policy-engine/sdk";
import { JwtValidation } from "./jwt-validation.ts";
import type { Params } from "./params.gen.ts";
import { FRAMING, problemsOf } from "./problems-of.ts";

/**
 * Lets a request pass only with a valid token of a configured issuer that says what is required. Later policies read
 * whose it is in `metadata.get("auth")`, the upstream in headers. Issuers are asked for their keys in the background:
 * loading a route does not wait for them.
 */
export const getPolicy: PolicyFactory<Params> = (metadata, params) => JwtValidation.create(params, metadata);

/** What the schema cannot say. */
export function validate(params: Params): string[] {
  return [...problemsOf(params, params.tokenFrom.flatMap(carrierOf)), ...placeProblems(params)];
}

function carrierOf({ header, cookie }: Params["tokenFrom"][number]): string[] {
  if (cookie !== undefined) return ["cookie"];
  return header === undefined ? [] : [header.toLowerCase()];
}

function placeProblems({ tokenFrom }: Params): string[] {
  const problems: string[] = [];
  const seen = new Set<string>();
  for (const [index, { header, prefix, cookie, query }] of tokenFrom.entries()) {
    const place = `tokenFrom[${index}]`;
    const names = [header?.toLowerCase(), cookie, query];
    if (names.filter((name) => name !== undefined).length !== 1) {
      problems.push(`${place} needs one of header, cookie and query`);
    }
    if (prefix !== undefined && header === undefined)
      problems.push(`${place} has a prefix, which only a header has`);
    if (header !== undefined && (FRAMING.has(header.toLowerCase()) || header.toLowerCase() === "cookie")) {
      problems.push(
        `${place}.header is "${header.toLowerCase()}", a header that can be taken away is needed`,
      );
    }
    const key = JSON.stringify(names);
    if (seen.has(key)) problems.push(`${place} is a place that stands there twice`);
    seen.add(key);
  }
  return problems;
}
