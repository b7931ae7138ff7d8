import { stat } from "node:fs/promises";
import { join, resolve } from "node:path";
import { type Manifest, type PolicyReference, readManifest } from "./manifest.ts";
import { type BuildProblem, fileProblem, PhaseFailure } from "./phase.ts";
import { DEFINITION_NAMES, type PolicyFile, readPolicyFolder } from "./policy-folder.ts";
import { searchFolders } from "./search-folders.ts";
import { counted, quoted, shownPath } from "./text.ts";

/** Where to look for policies: a manifest, or folders. */
export interface Selection {
  readonly manifest?: string | undefined;
  readonly policiesDirs?: readonly string[] | undefined;
}

/** A policy's folder as it was found; nothing in it has been judged yet. */
export interface FoundPolicy {
  readonly reference: PolicyReference;
  /** Absolute. */
  readonly dir: string;
  /** The folder as problems name it. */
  readonly shown: string;
  readonly files: readonly PolicyFile[];
  /** Which of the two names the definition has. */
  readonly definitionName: string;
  readonly definitionText: string;
}

export interface Discovery {
  readonly policies: readonly FoundPolicy[];
  readonly warnings: readonly BuildProblem[];
  /** `sha256-…` over what was asked for. */
  readonly hash: string;
}

/** The first phase: finds the folders and reads them. */
export async function discover(selection: Selection, cwd: string): Promise<Discovery> {
  const { references, problems, hash } = await readSelection(selection, cwd);
  const collected: BuildProblem[] = [...problems];
  const policies: FoundPolicy[] = [];
  for (const reference of references) {
    const found = await readReference(reference, cwd);
    if (Array.isArray(found)) collected.push(...found);
    else policies.push(found);
  }
  const errors = collected.filter((problem) => problem.severity === "error");
  if (errors.length > 0) {
    throw new PhaseFailure(`Policy discovery failed: ${counted(errors.length, "error")}`, collected);
  }
  return { policies, warnings: collected, hash };
}

function readSelection(selection: Selection, cwd: string): Promise<Manifest> {
  const { manifest, policiesDirs = [] } = selection;
  if (manifest === undefined) return searchFolders(policiesDirs, cwd);
  const file = resolve(cwd, manifest);
  return readManifest(file, shownPath(file, cwd));
}

async function readReference(reference: PolicyReference, cwd: string): Promise<FoundPolicy | BuildProblem[]> {
  const { dir, sourcePath } = reference;
  const refuse = (reason: string, hint?: string): BuildProblem[] => [
    reference.problem("uri", `Cannot use ${quoted(sourcePath)}: ${reason}`, hint),
  ];
  const info = await stat(dir).catch(() => undefined);
  if (info === undefined) return refuse(`there is no folder ${quoted(shownPath(dir, cwd))}`);
  if (!info.isDirectory()) return refuse("it is a file, the folder of a policy is needed");
  const { files, faults } = await readPolicyFolder(dir);
  const shown = shownPath(dir, cwd);
  if (faults.length > 0) {
    return faults.map(({ path, message }) =>
      fileProblem(shown, path === "" ? shown : join(shown, path), { message }),
    );
  }
  const [definition, other] = files.filter((file) => DEFINITION_NAMES.includes(file.path));
  if (definition === undefined) {
    return refuse("it has no definition", `A policy's folder has a ${DEFINITION_NAMES[0]} and a policy.ts`);
  }
  if (other !== undefined) {
    const message = `Cannot use two definitions: ${DEFINITION_NAMES.join(" and ")} are both there, one is needed`;
    return [fileProblem(shown, join(shown, other.path), { message })];
  }
  return {
    reference,
    dir,
    shown,
    files,
    definitionName: definition.path,
    definitionText: new TextDecoder().decode(definition.content),
  };
}
