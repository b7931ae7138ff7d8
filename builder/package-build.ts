import type { BuildInfo } from "../runtime/policy/registry.ts";
import { OUTPUT } from "./output-folder.ts";
import { fillTemplate } from "./template.ts";
import type { ValidPolicy } from "./validate.ts";

/** Where the definition of a policy goes, below the output folder. */
export function definitionPath({ definition }: ValidPolicy): string {
  return `${OUTPUT.definitions}/${definition.name}-${definition.version}.yaml`;
}

/** The texts beside the executable: Dockerfile and definitions. */
export function packageTexts(policies: readonly ValidPolicy[], info: BuildInfo): Record<string, string> {
  const texts: Record<string, string> = { [OUTPUT.dockerfile]: dockerfile(policies, info) };
  for (const policy of policies) texts[definitionPath(policy)] = policy.found.definitionText;
  return texts;
}

function dockerfile(policies: readonly ValidPolicy[], info: BuildInfo): string {
  // Names and versions are checked: nothing in them means anything to a Dockerfile.
  return fillTemplate("Dockerfile.tmpl", {
    version: JSON.stringify(info.version),
    revision: JSON.stringify(info.gitCommit),
    created: JSON.stringify(info.builtAt),
    policies: JSON.stringify(policies.map(({ label }) => label).join(", ")),
  });
}
