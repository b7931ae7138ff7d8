import type { Expression } from "@policy-engine/sdk";
import { compileProgram } from "./compile-program.ts";
import { fieldsOf } from "./fields.ts";
import { toPlain } from "./to-plain.ts";

/** What a policy can look at: which bodies it asked for, and whether it has anything to do with responses. */
export interface Reach {
  readonly requestBody: boolean;
  readonly responseBody: boolean;
  readonly response: boolean;
}

/** Compiles an expression for a policy, or tells all that is wrong with it. Never throws. */
export function compileExpression(
  source: unknown,
  reach: Reach,
): { expression?: Expression; problems: string[] } {
  const { program, subject, problems } = compileProgram(source, "expression");
  if (program === undefined) return { problems };
  const { reads, type } = program;
  if (fieldsOf(type) !== undefined) {
    problems.push(`${subject}: its value is ${type.toLowerCase()} as a whole, one of its fields is needed`);
  }
  if (reads.requestBody && !reach.requestBody) {
    problems.push(`${subject}: it reads "request.body", "requiresRequestBody" of the definition is needed`);
  }
  if (reads.responseBody && !reach.responseBody) {
    problems.push(`${subject}: it reads "response.body", "requiresResponseBody" of the definition is needed`);
  }
  if (reads.response && !reach.response) {
    problems.push(
      `${subject}: it reads "response", but the definition says "supportsResponsePhase: false", which must go`,
    );
  }
  if (problems.length > 0) return { problems };
  return {
    expression: Object.freeze({ type, evaluate: (ctx) => program.evaluate(ctx, toPlain) } as Expression),
    problems,
  };
}
