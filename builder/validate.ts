import { join } from "node:path";
import { parseYaml } from "../runtime/document/yaml-document.ts";
import type { PolicyDefinition } from "../runtime/policy/definition.ts";
import { compileParameters } from "../runtime/policy/parameters.ts";
import { checkDefinition } from "../runtime/policy/parse-definition.ts";
import { checkCode } from "./check-code.ts";
import type { Discovery, FoundPolicy } from "./discover.ts";
import { installDependencies } from "./install.ts";
import { integrityOf } from "./integrity.ts";
import { checkPackageFile } from "./package-file.ts";
import { paramsTypes } from "./params-types.ts";
import { type BuildProblem, fileProblem, PhaseFailure } from "./phase.ts";
import { EMBEDDED_FILE, type GeneratedBy, type RegistrySubject } from "./registry-source.ts";
import { counted, quoted } from "./text.ts";
import type { Workspace } from "./workspace.ts";

/** A policy whose definition could be read. */
export interface DefinedPolicy {
  readonly found: FoundPolicy;
  readonly definition: PolicyDefinition;
  /** What the definition says, before defaults are added. */
  readonly values: unknown;
  /** `name:version`. */
  readonly label: string;
  /** The text that `params.gen.ts` has to have. */
  readonly params: string;
}

/** A policy that is going to be in the executable. */
export interface ValidPolicy extends DefinedPolicy {
  readonly subject: RegistrySubject;
}

export interface ValidateOptions {
  readonly workspace: Workspace;
  readonly by: GeneratedBy;
  readonly signal: AbortSignal;
}

/** The name of the generated file with the types of parameters. */
export const PARAMS_FILE = "params.gen.ts";
const MAIN_FILE = "policy.ts";

/** Reads the definitions and compares them with what was asked for. */
export function readDefinitions(found: readonly FoundPolicy[]): {
  policies: DefinedPolicy[];
  problems: BuildProblem[];
} {
  const problems: BuildProblem[] = [];
  const policies: DefinedPolicy[] = [];
  const places = new Map<string, FoundPolicy>();
  for (const policy of found) {
    const file = join(policy.shown, policy.definitionName);
    const document = parseYaml(policy.definitionText, file);
    const { definition, problems: faults } = checkDefinition(document);
    const label = definition === undefined ? policy.shown : `${definition.name}:${definition.version}`;
    problems.push(...faults.map((fault) => ({ ...fault, policy: label })));
    if (definition === undefined) continue;
    const compiled = compileParameters(definition.parameters);
    const alreadyTold = faults.some((fault) => fault.severity === "error");
    if (compiled.problems.length > 0 && !alreadyTold) {
      const faulty = compiled.problems.map((message) => ({
        ...fileProblem(label, file, { message }),
        pointer: "/parameters",
      }));
      problems.push(...faulty);
    }
    problems.push(...referenceProblems(policy, { definition, label }));
    const twin = places.get(label);
    if (twin === undefined) {
      places.set(label, policy);
    } else {
      const message = `Cannot build ${quoted(label)} twice: ${quoted(twin.shown)} defines it too`;
      const hint = "Two policies need different names or different versions";
      problems.push({ ...policy.reference.problem("uri", message, hint), policy: label });
    }
    if (compiled.problems.length > 0) continue;
    policies.push({
      found: policy,
      definition,
      values: document.value,
      label,
      params: paramsTypes(definition.parameters, definition),
    });
  }
  return { policies, problems };
}

/** The second phase: everything that can be wrong with a policy, of all policies at once. */
export async function validate(
  discovery: Discovery,
  options: ValidateOptions,
): Promise<{ policies: readonly ValidPolicy[]; warnings: readonly BuildProblem[] }> {
  const { policies, problems } = readDefinitions(discovery.policies);
  const usable: DefinedPolicy[] = [];
  for (const policy of policies) {
    const faults = fileProblems(policy);
    problems.push(...faults.problems);
    if (faults.usable) usable.push(policy);
  }
  // Folders without a usable definition are looked at too, as far as that goes.
  for (const found of discovery.policies) {
    if (!policies.some((policy) => policy.found === found))
      problems.push(...mainFileProblems(found, found.shown));
  }
  const installed: ValidPolicy[] = [];
  for (const [index, subject] of subjectsOf(usable).entries()) {
    const policy: ValidPolicy = { ...usable[index]!, subject };
    const fault = await prepare(policy, options);
    if (fault === undefined) installed.push(policy);
    else problems.push(fault);
  }
  const faults = await checkCode(
    installed.map((policy) => policy.subject),
    options,
  );
  for (const { folder, path, ...fault } of faults) {
    const policy = installed.find((each) => each.subject.folder === folder);
    if (policy === undefined) continue;
    const file = join(policy.found.shown, path);
    problems.push({ ...fileProblem(policy.label, file, { message: fault.message }), ...fault });
  }
  const errors = problems.filter((problem) => problem.severity === "error");
  if (errors.length > 0) {
    const count = new Set(errors.map((problem) => problem.policy)).size;
    const where = counted(count, "policy", "policies");
    throw new PhaseFailure(
      `Policy validation failed: ${counted(errors.length, "error")} in ${where}`,
      problems,
    );
  }
  return { policies: installed, warnings: problems };
}

function referenceProblems(
  policy: FoundPolicy,
  options: { definition: PolicyDefinition; label: string },
): BuildProblem[] {
  const { reference } = policy;
  const { definition, label } = options;
  const problems: BuildProblem[] = [];
  for (const key of ["name", "version"] as const) {
    const asked = reference[key];
    if (asked === undefined || asked === definition[key]) continue;
    const message = `Cannot build ${key} ${quoted(asked)}: the definition in ${quoted(policy.shown)} says ${quoted(definition[key])}`;
    problems.push({ ...reference.problem(key, message, "Both have to be the same"), policy: label });
  }
  return problems;
}

function mainFileProblems(found: FoundPolicy, label: string): readonly BuildProblem[] {
  if (found.files.some((file) => file.path === MAIN_FILE)) return [];
  const message = `Cannot build this policy: it has no ${MAIN_FILE}`;
  const hint = `${MAIN_FILE} exports getPolicy`;
  return [fileProblem(label, join(found.shown, MAIN_FILE), { message, hint })];
}

function fileProblems(policy: DefinedPolicy): { problems: BuildProblem[]; usable: boolean } {
  const { found, label } = policy;
  const problems: BuildProblem[] = [...mainFileProblems(found, label)];
  const { faults } = checkPackageFile(found.files);
  for (const { path, ...fault } of faults) {
    const file = join(found.shown, path);
    problems.push({ ...fileProblem(label, file, { message: fault.message }), ...fault });
  }
  const usable = problems.length === 0;
  const checkedIn = found.files.find((file) => file.path === PARAMS_FILE);
  if (checkedIn !== undefined && new TextDecoder().decode(checkedIn.content) !== policy.params) {
    const message = `Cannot use this ${PARAMS_FILE}: it does not fit the definition's parameters`;
    const hint = "Run: policy-builder types";
    problems.push(fileProblem(label, join(found.shown, PARAMS_FILE), { message, hint }));
  }
  return { problems, usable };
}

/** The policies as the registry lists them, in the same order. */
export function subjectsOf(policies: readonly DefinedPolicy[]): RegistrySubject[] {
  const counts = new Map<string, number>();
  return policies.map(({ definition: { name, version }, found, label }) => {
    const twins = counts.get(label) ?? 0;
    counts.set(label, twins + 1);
    const wanted = `policies/${name}/${version}`;
    return {
      name,
      version,
      sourcePath: found.reference.sourcePath,
      integrity: integrityOf(found.files, [PARAMS_FILE]),
      // Twins are refused in the end; until then each is checked in a folder of its own.
      folder: twins === 0 ? wanted : `${wanted}-twin${twins}`,
    };
  });
}

/** Copies a policy into the workspace and installs its dependencies. */
async function prepare(policy: ValidPolicy, options: ValidateOptions): Promise<BuildProblem | undefined> {
  const { workspace, signal } = options;
  const { found, label, subject, params, values } = policy;
  signal.throwIfAborted();
  await workspace.copyPolicy(subject.folder, found.files);
  await workspace.write(`${subject.folder}/${PARAMS_FILE}`, params);
  await workspace.write(`${subject.folder}/${EMBEDDED_FILE}`, JSON.stringify(values));
  if (!checkPackageFile(found.files).hasDependencies) return undefined;
  const reason = await installDependencies(workspace.path(subject.folder), signal);
  if (reason === undefined) return undefined;
  const message = `Cannot install the dependencies: ${reason}`;
  return fileProblem(label, join(found.shown, "package.json"), { message });
}
