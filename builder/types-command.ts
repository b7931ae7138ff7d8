import { rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { discover, type Selection } from "./discover.ts";
import { type BuildProblem, fileProblem, type Phase, PhaseFailure } from "./phase.ts";
import { messageOf } from "./text.ts";
import { PARAMS_FILE, readDefinitions } from "./validate.ts";

export interface TypesResult {
  /** The files that were written, as they are shown. */
  readonly written: readonly string[];
  /** How many had the right text already. */
  readonly same: number;
  /** The phase that failed. */
  readonly phase?: Phase;
  readonly problems: readonly BuildProblem[];
}

/** Writes `params.gen.ts` beside each policy whose definition is right; the only thing written into policies. */
export async function writeTypes(selection: Selection, cwd: string): Promise<TypesResult> {
  let found: Awaited<ReturnType<typeof discover>>;
  try {
    found = await discover(selection, cwd);
  } catch (error) {
    if (!(error instanceof PhaseFailure)) throw error;
    return { written: [], same: 0, phase: "discovery", problems: error.problems };
  }
  const { policies, problems } = readDefinitions(found.policies);
  const all = [...found.warnings, ...problems];
  const written: string[] = [];
  let same = 0;
  for (const { found: policy, label, params } of policies) {
    const old = policy.files.find((file) => file.path === PARAMS_FILE);
    if (old !== undefined && new TextDecoder().decode(old.content) === params) {
      same += 1;
      continue;
    }
    const shown = join(policy.shown, PARAMS_FILE);
    const file = join(policy.dir, PARAMS_FILE);
    const temporary = `${file}.${process.pid}.tmp`;
    try {
      await writeFile(temporary, params, { flag: "wx" });
      await rename(temporary, file);
      written.push(shown);
    } catch (error) {
      await rm(temporary, { force: true });
      all.push(fileProblem(label, shown, { message: `Cannot write this file: ${messageOf(error)}` }));
    }
  }
  const failed = all.some((problem) => problem.severity === "error");
  return { written, same, problems: all, ...(failed ? { phase: "validation" as const } : {}) };
}
