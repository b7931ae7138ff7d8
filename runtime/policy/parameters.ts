import type { SchemaIssue } from "../document/schema.ts";
import type { JsonSchema } from "./definition.ts";
import type { SecretReader } from "./secret-reader.ts";

export { createSecretReader, type SecretReader, type SecretReference } from "./secret-reader.ts";

export type CheckedParameters =
  | { readonly params: unknown; readonly issues: readonly [] }
  | { readonly params: undefined; readonly issues: readonly SchemaIssue[] };

export interface Parameters {
  /** Resolves secrets, fills defaults, checks, and freezes deeply. Issues never quote a value. */
  check(raw: unknown, secrets: SecretReader): CheckedParameters;
  /** A copy for people to read, with `[redacted]` in the place of every secret. */
  redact(raw: unknown): unknown;
  /** Every secret text in checked parameters, to keep them out of messages. */
  secretsIn(params: unknown): string[];
}

export function compileParameters(_schema: JsonSchema): { parameters?: Parameters; problems: string[] } {
  throw new Error("not written yet");
}
