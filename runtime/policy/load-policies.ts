import { formatProblem, type Problem } from "../document/problem.ts";
import { parseYaml, valueDocument } from "../document/yaml-document.ts";
import type { PolicyDefinition } from "./definition.ts";
import { compileParameters } from "./parameters.ts";
import { checkDefinition } from "./parse-definition.ts";
import { reasonOf } from "./reason.ts";
import type { PolicyModule, RegisteredPolicy, RegistryEntry } from "./registry-entry.ts";
import { within } from "./within.ts";

/** A policy version that was tried: usable, or with the reason why not. */
export type LoadedPolicy =
  | {
      readonly entry: RegistryEntry;
      readonly definition: PolicyDefinition;
      readonly policy: RegisteredPolicy;
      readonly error?: undefined;
    }
  | {
      readonly entry: RegistryEntry;
      readonly definition: PolicyDefinition | undefined;
      readonly policy?: undefined;
      readonly error: string;
    };

const DEFINITION_FILE = "policy-definition.yaml";
/** How long the import of a policy may take; a top-level await that never ends must not hold up the engine. */
const IMPORT_TIMEOUT_MS = 10_000;

/** Checks and imports policies, each by itself. Never rejects. */
export async function loadPolicies(
  entries: readonly RegistryEntry[],
  importTimeoutMs: number = IMPORT_TIMEOUT_MS,
): Promise<LoadedPolicy[]> {
  const counts = new Map<string, number>();
  for (const { name, version } of entries) {
    const key = `${name}:${version}`;
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  return await Promise.all(
    entries.map(async (entry) => {
      const copies = counts.get(`${entry.name}:${entry.version}`) ?? 0;
      if (copies > 1) {
        const error = `it is in this executable ${copies} times, one is needed`;
        return { entry, definition: undefined, error };
      }
      return await loadPolicy(entry, importTimeoutMs);
    }),
  );
}

async function loadPolicy(entry: RegistryEntry, importTimeoutMs: number): Promise<LoadedPolicy> {
  const { definition, problems } = checkDefinition(
    typeof entry.definition === "string"
      ? parseYaml(entry.definition, DEFINITION_FILE)
      : valueDocument(entry.definition, DEFINITION_FILE),
  );
  if (definition === undefined) {
    const error = `its definition is not valid: ${problems.map(oneLine).join("; ")}`;
    return { entry, definition, error };
  }
  const fail = (error: string): LoadedPolicy => ({ entry, definition, error });
  if (definition.name !== entry.name || definition.version !== entry.version) {
    return fail(`its definition is that of "${definition.name}" ${definition.version}`);
  }
  const { parameters, problems: faults } = compileParameters(definition.parameters);
  if (parameters === undefined) return fail(`its parameters are not valid: ${faults.join("; ")}`);
  let module: PolicyModule;
  try {
    const imported = await within(entry.load(), importTimeoutMs);
    if (imported === undefined) return fail(`its module is not imported after ${importTimeoutMs} ms`);
    module = imported.value;
  } catch (error) {
    return fail(`its module throws at import: ${reasonOf(error)}`);
  }
  try {
    // Reading an export can throw: a binding may still be uninitialised.
    if (typeof module.getPolicy !== "function")
      return fail("its module does not export a function getPolicy");
    if (module.validate !== undefined && typeof module.validate !== "function") {
      return fail("its module exports a validate that is not a function");
    }
  } catch (error) {
    return fail(`its exports cannot be read: ${reasonOf(error)}`);
  }
  return { entry, definition, policy: { entry, definition, parameters, module } };
}

function oneLine(problem: Problem): string {
  return formatProblem(problem).replace(/\n\s*/g, ", ");
}
