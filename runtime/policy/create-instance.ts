import type { Policy } from "@policy-engine/sdk";
import type { EngineLogger } from "../observability/log.ts";
import type { PolicyInstance } from "./instance.ts";
import type { BuildInfo, RegisteredPolicy } from "./registry.ts";

export interface CreateInstanceOptions {
  readonly route: string;
  /** Parameters as `Parameters.check` returned them. */
  readonly params: unknown;
  readonly engineMetadata: Readonly<Record<string, string>>;
  readonly build: BuildInfo;
  readonly log: EngineLogger;
  /** How long `getPolicy` may take. */
  readonly timeoutMs: number;
  /** The instance this one takes the place of. */
  readonly previous?: Policy;
}

export function createInstance(
  _policy: RegisteredPolicy,
  _options: CreateInstanceOptions,
): Promise<PolicyInstance> {
  throw new Error("not written yet");
}
