import type { BuildInfo } from "../runtime/policy/registry.ts";
import { type GeneratedBy, header, registrySource } from "./registry-source.ts";
import { fillTemplate } from "./template.ts";
import type { ValidPolicy } from "./validate.ts";
import type { Workspace } from "./workspace.ts";

/** The entry of the program. */
export const MAIN_MODULE = "main.gen.ts";

export interface GenerateOptions {
  readonly workspace: Workspace;
  readonly by: GeneratedBy;
  readonly info: BuildInfo;
}

/** The third phase: writes the registry, the facts about the build, and the module that starts the engine. */
export async function generate(
  policies: readonly ValidPolicy[],
  options: GenerateOptions,
): Promise<string[]> {
  const { workspace, by, info } = options;
  const subjects = policies.map(({ subject }) => subject);
  const files: Record<string, string> = {
    "policies.gen.ts": registrySource(subjects, by).text,
    "build-info.gen.ts": fillTemplate("build-info.gen.ts.tmpl", {
      header: header(by),
      info: JSON.stringify(info, null, 2),
    }),
    [MAIN_MODULE]: fillTemplate("main.gen.ts.tmpl", { header: header(by) }),
  };
  for (const [name, text] of Object.entries(files)) await workspace.write(name, text);
  return Object.keys(files);
}
