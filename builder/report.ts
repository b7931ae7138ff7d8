import { compareProblems, formatProblem } from "../runtime/document/problem.ts";
import type { BuildInfo } from "../runtime/policy/registry.ts";
import { PROBLEMS } from "./limits.ts";
import type { BuildProblem, Phase } from "./phase.ts";

/** A phase that ended. */
export interface PhaseReport {
  readonly phase: Phase;
  readonly ok: boolean;
  readonly durationMs: number;
  /** What was done, in a few words. */
  readonly summary: string;
}

export interface BuiltPolicy {
  readonly name: string;
  readonly version: string;
  readonly sourcePath: string;
  readonly integrity: string;
}

/** What a build made; paths below the output folder. */
export interface Artifacts {
  readonly directory: string;
  readonly binary: string;
  readonly binaryBytes: number;
  readonly dockerfile: string;
  readonly definitions: readonly string[];
  readonly report: string;
}

/** How a build went. `--json` prints it, and a build that succeeded leaves it as `build-report.json`. */
export interface BuildReport {
  readonly ok: boolean;
  /** The phase that failed. */
  readonly phase?: Phase;
  /** What failed, in one sentence. */
  readonly error?: string;
  /** Errors by policy (`name:version`), or by file where they are about no policy. */
  readonly details: readonly { readonly policy: string; readonly errors: readonly string[] }[];
  /** The same and warnings, with positions; at most {@link PROBLEMS}. */
  readonly problems: readonly BuildProblem[];
  readonly phases: readonly PhaseReport[];
  readonly policies: readonly BuiltPolicy[];
  readonly build?: BuildInfo;
  readonly artifacts?: Artifacts;
}

/** Sorted, each once, and not more than a person can use. */
export function orderProblems(problems: readonly BuildProblem[]): BuildProblem[] {
  const unique = new Map(problems.map((problem) => [JSON.stringify(problem), problem]));
  return [...unique.values()].sort(compareProblems).slice(0, PROBLEMS);
}

/** The errors by policy. */
export function detailsOf(problems: readonly BuildProblem[]): { policy: string; errors: string[] }[] {
  const details = new Map<string, string[]>();
  for (const problem of problems) {
    if (problem.severity !== "error") continue;
    const errors = details.get(problem.policy) ?? [];
    details.set(problem.policy, errors);
    errors.push(formatProblem(problem));
  }
  return [...details].map(([policy, errors]) => ({ policy, errors }));
}
