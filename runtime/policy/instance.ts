import type { Policy } from "@policy-engine/sdk";
import type { EngineLogger } from "../observability/log.ts";
import type { PolicyDefinition } from "./definition.ts";

/** A policy made by `getPolicy` for one place in one chain. */
export interface PolicyInstance {
  readonly definition: PolicyDefinition;
  readonly policy: Policy;
  /** The log of the instance; exchanges derive theirs from it. */
  readonly log: EngineLogger;
  /** Aborts the instance's signal and calls the policy's `close`, once; a failure is logged, never thrown. */
  close(): Promise<void>;
}
