import type { PolicyFactory } from "@policy-engine/sdk";
import type { PolicyDefinition } from "./definition.ts";
import type { Parameters } from "./parameters.ts";

/** One policy version as the builder's generated registry lists it. */
export interface RegistryEntry {
  readonly name: string;
  readonly version: string;
  /** What `policy-definition.yaml` says, as the builder embeds it, or its text, which takes longer to read. */
  readonly definition: unknown;
  /** The folder it was compiled from. */
  readonly sourcePath: string;
  /** `sha256-…` over the policy's files. */
  readonly integrity: string;
  /** Imports the policy's module, so that one that throws at import fails alone. */
  load(): Promise<PolicyModule>;
}

/** What a policy module exports. */
export interface PolicyModule {
  readonly getPolicy: PolicyFactory<never>;
  /** Says of parameters what a schema cannot; an empty list accepts them. */
  readonly validate?: (params: never) => readonly string[];
}

/** Facts about the executable, written by the builder. */
export interface BuildInfo {
  readonly version: string;
  readonly gitCommit: string;
  /** ISO 8601. */
  readonly builtAt: string;
  readonly builderVersion: string;
  readonly sdkVersion: string;
  readonly bunVersion: string;
}

/** A policy version that can be used. */
export interface RegisteredPolicy {
  readonly entry: RegistryEntry;
  readonly definition: PolicyDefinition;
  readonly parameters: Parameters;
  readonly module: PolicyModule;
}
