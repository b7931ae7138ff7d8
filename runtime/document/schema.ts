import { Check, Errors } from "typebox/schema";
import { Settings } from "typebox/system";
import { compileDefaults } from "./schema-defaults.ts";
import type { SchemaIssue } from "./schema-issue.ts";
import { toIssues } from "./schema-issues.ts";
import { isRecord } from "./schema-nodes.ts";
import { schemaProblems } from "./schema-problems.ts";

export type { SchemaIssue };

export interface CompiledSchema {
  /** Everything that does not fit; empty when the value fits. */
  check(value: unknown): SchemaIssue[];
  /** A deep copy with the schema's defaults filled in where a key is missing. */
  withDefaults(value: unknown): unknown;
}

/** Errors of one value that the validator collects; it stops at 8 unless told otherwise. */
const MAX_ERRORS = 1000;

/**
 * Makes a checker of a JSON Schema (2020-12) with our keywords `secret`, `errorMessage` and `setsHeader`. Problems
 * of the schema itself begin with the JSON pointer of their place in it.
 */
export function compileSchema(schema: unknown): { schema?: CompiledSchema; problems: string[] } {
  const problems = schemaProblems(schema).map(({ pointer, message }) =>
    pointer === "" ? message : `${pointer}: ${message}`,
  );
  if (problems.length > 0 || !isRecord(schema)) return { problems };
  const withDefaults = compileDefaults(schema);
  return {
    problems,
    schema: {
      withDefaults,
      check(value) {
        // The validator interprets: compiling would evaluate code made from what people write.
        if (Check(schema, value)) return [];
        Settings.Set({ maxErrors: MAX_ERRORS });
        const issues = toIssues(Errors(schema, value)[1], schema, value);
        // Fails closed should an error ever be one that toIssues drops.
        return issues.length > 0 ? issues : [{ pointer: "", message: "The value does not fit its schema" }];
      },
    },
  };
}
