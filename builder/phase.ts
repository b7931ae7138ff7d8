import type { Problem } from "../runtime/document/problem.ts";

/** The phases of a build in order. The exit code says in which one it failed. */
export const PHASES = ["discovery", "validation", "generation", "compilation", "packaging"] as const;

export type Phase = (typeof PHASES)[number];

/** The exit code of a build that failed in this phase: 10 to 14. */
export function exitCodeOf(phase: Phase): number {
  return 10 + PHASES.indexOf(phase);
}

/** A problem and the policy it is about: `name:version`, or the file when it is about none. */
export interface BuildProblem extends Problem {
  readonly policy: string;
}

/** Ends a phase: everything that is wrong, at once. */
export class PhaseFailure extends Error {
  override readonly name = "PhaseFailure";
  readonly problems: readonly BuildProblem[];

  constructor(message: string, problems: readonly BuildProblem[] = []) {
    super(message);
    this.problems = problems;
  }
}

/** A problem of a whole file, at its beginning. */
export function fileProblem(
  policy: string,
  file: string,
  options: { message: string; hint?: string | undefined; severity?: "error" | "warning" },
): BuildProblem {
  const { message, hint, severity = "error" } = options;
  return {
    policy,
    severity,
    file,
    line: 1,
    column: 1,
    pointer: "",
    message,
    ...(hint === undefined ? {} : { hint }),
  };
}
