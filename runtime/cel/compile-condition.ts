import { compileProgram } from "./compile-program.ts";
import { Fault } from "./fault.ts";
import type { ConditionReads } from "./survey.ts";
import type { ConditionInput } from "./variables.ts";

export type { ConditionReads } from "./survey.ts";
export type { ConditionInput } from "./variables.ts";

/** A CEL expression that decides whether a policy runs: checked, bounded, and the same for every exchange. */
export interface Condition {
  readonly source: string;
  readonly reads: ConditionReads;
  /**
   * @throws {CelError} If it cannot be decided: a missing key, a wrong type, too much work. The message quotes
   * nothing of the exchange.
   */
  evaluate(input: ConditionInput): boolean;
}

/** Compiles a condition, or tells all that is wrong with it. Never throws. */
export function compileCondition(source: unknown): { condition?: Condition; problems: string[] } {
  const { program, subject, problems } = compileProgram(source, "condition");
  if (program === undefined) return { problems };
  if (program.type !== "bool") {
    const needed = 'a bool is needed, as a comparison such as "== true" gives';
    return { problems: [`${subject}: its value is of type ${program.type}, ${needed}`] };
  }
  const { reads } = program;
  return {
    condition: { source: program.source, reads, evaluate: (input) => program.evaluate(input, decision) },
    problems: [],
  };
}

function decision(value: unknown): boolean {
  if (typeof value !== "boolean") throw new Fault("not_a_bool");
  return value;
}
