import { discover, type Selection } from "./discover.ts";
import { type BuildProblem, type Phase, PhaseFailure } from "./phase.ts";
import { builderVersion, registrySource } from "./registry-source.ts";
import { readDefinitions, subjectsOf } from "./validate.ts";

export interface RegistryResult {
  readonly text?: string;
  /** The phase that failed. */
  readonly phase?: Phase;
  readonly problems: readonly BuildProblem[];
}

/** The registry that a build would generate, without looking at code. */
export async function registryText(selection: Selection, cwd: string): Promise<RegistryResult> {
  try {
    const { policies: found, warnings, hash } = await discover(selection, cwd);
    const { policies, problems } = readDefinitions(found);
    const all = [...warnings, ...problems];
    if (problems.some((problem) => problem.severity === "error"))
      return { phase: "validation", problems: all };
    const by = { builderVersion: builderVersion(), hash };
    return { text: registrySource(subjectsOf(policies), by).text, problems: all };
  } catch (error) {
    if (!(error instanceof PhaseFailure)) throw error;
    return { phase: "discovery", problems: error.problems };
  }
}
