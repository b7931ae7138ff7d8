import { compareProblems, type Problem } from "../document/problem.ts";
import type { PolicyRegistry } from "../policy/registry.ts";
import type { EngineConfig } from "./engine-config.ts";
import { type MergedRoute, mergeRoutes } from "./merge-routes.ts";
import { RouteFiles } from "./route-files.ts";

/** What {@link validateRoutes} found. */
export interface RoutesReport {
  /** Whether there is no error. */
  readonly valid: boolean;
  /** Everything that is wrong, sorted. */
  readonly problems: readonly Problem[];
  /** The routes that were found, those with errors too, in the order of the files. */
  readonly routes: readonly MergedRoute[];
}

/**
 * Checks route files without serving them: their text, their shape, every policy and version against the
 * registry, every parameter against its schema and the policy's own `validate`. Secrets are read, so files and
 * variables that hold them must be there. Policies are not created: `getPolicy` may call out, and what it finds
 * here says nothing of the place where the engine will run. Never rejects.
 */
export async function validateRoutes(
  path: string,
  {
    registry,
    config,
  }: { readonly registry: PolicyRegistry; readonly config: Pick<EngineConfig, "limits" | "extProc"> },
): Promise<RoutesReport> {
  const { limits } = config;
  const { messageTimeoutMs } = config.extProc;
  const set = await new RouteFiles(path, limits).read();
  const { problems, routes } = await mergeRoutes(set, {
    registry,
    limits,
    messageTimeoutMs,
    known: undefined,
  });
  const sorted = [...problems].sort(compareProblems);
  return { valid: !sorted.some(({ severity }) => severity === "error"), problems: sorted, routes };
}
