import type { PolicyFactory } from "@policy-engine/sdk";
import { JwtValidation } from "./jwt-validation.ts";
import type { Params } from "./params.gen.ts";
import { problemsOf } from "./problems-of.ts";

/**
 * Lets a request pass only with a valid token of a configured issuer. Later policies read whose it is in
 * `metadata.get("auth")`, the upstream in headers. Issuers are asked for their keys in the background: loading a route
 * does not wait for them.
 */
export const getPolicy: PolicyFactory<Params> = (metadata, params) => JwtValidation.create(params, metadata);

/** What the schema cannot say. */
export function validate(params: Params): string[] {
  return problemsOf(params, ["authorization"]);
}
