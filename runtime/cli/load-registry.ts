import { createLogger } from "../observability/log.ts";
import { PolicyRegistry } from "../policy/registry.ts";
import type { CliContext } from "./cli-context.ts";

/** The policies of this executable. What loading them would log is said by the command. */
export function loadRegistry({ policies, build }: CliContext): Promise<PolicyRegistry> {
  const log = createLogger({ level: "error", format: "text", write: () => {} });
  return PolicyRegistry.load(policies, { build, log });
}
