import type { PolicyFactory } from "@policy-engine/sdk";
import type { EngineLogger } from "../observability/log.ts";
import type { PolicyDefinition } from "./definition.ts";
import type { Parameters } from "./parameters.ts";

/** One policy version as the builder's generated registry lists it. */
export interface RegistryEntry {
  readonly name: string;
  readonly version: string;
  /** The text of `policy-definition.yaml`, embedded in the executable. */
  readonly definition: string;
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

/** A policy version as lists show it. */
export interface PolicyListing {
  readonly name: string;
  readonly version: string;
  readonly description: string;
  readonly phases: readonly ("request" | "response")[];
  readonly sourcePath: string;
  readonly integrity: string;
  /** Why it cannot be used. */
  readonly error?: string;
}

export interface LoadOptions {
  readonly build: BuildInfo;
  readonly log: EngineLogger;
}

export type Resolution =
  | { readonly policy: RegisteredPolicy; readonly message?: undefined }
  | { readonly policy?: undefined; readonly message: string; readonly hint: string };

/** The policies of this executable, by name and version. */
export class PolicyRegistry {
  /** Imports and checks every policy. One that fails is kept as failed and logged; this never rejects. */
  static load(_entries: readonly RegistryEntry[], _options: LoadOptions): Promise<PolicyRegistry> {
    throw new Error("not written yet");
  }

  /** The policy for a version such as `v1.2.3`, or for `v1` the highest v1 that is no prerelease. */
  resolve(_name: string, _version: string): Resolution {
    throw new Error("not written yet");
  }

  list(): PolicyListing[] {
    throw new Error("not written yet");
  }
}
