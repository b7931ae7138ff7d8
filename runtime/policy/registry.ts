import { suggest } from "../document/nearest.ts";
import type { EngineLogger } from "../observability/log.ts";
import { type LoadedPolicy, loadPolicies } from "./load-policies.ts";
import type { BuildInfo, PolicyModule, RegisteredPolicy, RegistryEntry } from "./registry-entry.ts";
import { compareVersions, isReleaseOf, kindOfVersion } from "./version.ts";

export type { BuildInfo, PolicyModule, RegisteredPolicy, RegistryEntry };

/** A policy version as lists show it. */
export interface PolicyListing {
  readonly name: string;
  readonly version: string;
  readonly description: string;
  /** What the definition says; both, unless it says otherwise. */
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
  /** By name; each list from the lowest version to the highest. */
  readonly #byName = new Map<string, LoadedPolicy[]>();

  private constructor(loaded: readonly LoadedPolicy[]) {
    for (const policy of loaded) {
      const { name } = policy.entry;
      this.#byName.set(name, [...(this.#byName.get(name) ?? []), policy]);
    }
    for (const versions of this.#byName.values()) {
      versions.sort((a, b) => compareVersions(a.entry.version, b.entry.version));
    }
  }

  /** Imports and checks every policy. One that fails is kept as failed and logged; this never rejects. */
  static async load(entries: readonly RegistryEntry[], { build, log }: LoadOptions): Promise<PolicyRegistry> {
    const registry = new PolicyRegistry(await loadPolicies(entries));
    const failed = registry.#all().filter(({ error }) => error !== undefined);
    for (const { entry, error } of failed) {
      const policy = `${entry.name}:${entry.version}`;
      log.error(`Cannot load policy ${JSON.stringify(policy)}: ${error}`, { policy });
    }
    const usable = registry.#all().filter(({ error }) => error === undefined);
    log.info(`Loaded ${usable.length} policy version${usable.length === 1 ? "" : "s"}`, {
      policies: usable.map(({ entry }) => `${entry.name}:${entry.version}`),
      build: build.version,
    });
    return registry;
  }

  /** The policy for a version such as `v1.2.3`, or for `v1` the highest v1 that is no prerelease. */
  resolve(name: string, version: string): Resolution {
    const versions = this.#byName.get(name);
    if (versions === undefined) {
      const hint = suggest(name, [...this.#byName.keys()].sort()) ?? "This executable has no policies";
      return { message: `Cannot find policy ${JSON.stringify(name)}: it is not in this executable`, hint };
    }
    const subject = `policy ${JSON.stringify(name)} ${version}`;
    const hint = `Versions in this executable: ${versions.map(({ entry }) => entry.version).join(", ")}`;
    const kind = kindOfVersion(version);
    if (kind === "invalid") {
      const message = `Cannot use version ${JSON.stringify(version)}: "v1.2.3" or "v1" is needed`;
      return { message, hint };
    }
    const found = versions.findLast(({ entry }) =>
      kind === "major" ? isReleaseOf(entry.version, version) : entry.version === version,
    );
    if (found === undefined) {
      return { message: `Cannot find ${subject}: that version is not in this executable`, hint };
    }
    // A failed version is never replaced by a lower one, which would decide differently.
    if (found.error !== undefined) {
      const { version: actual } = found.entry;
      return { message: `Cannot use policy ${JSON.stringify(name)} ${actual}: ${found.error}`, hint };
    }
    return { policy: found.policy };
  }

  /** Every policy version by name, then version, those that failed too. */
  list(): PolicyListing[] {
    return this.#all().map(toListing);
  }

  #all(): LoadedPolicy[] {
    const names = [...this.#byName.keys()].sort();
    return names.flatMap((name) => this.#byName.get(name) ?? []);
  }
}

function toListing({ entry, definition, error }: LoadedPolicy): PolicyListing {
  const phases: ("request" | "response")[] = [];
  if (definition !== undefined && definition.supportsRequestPhase !== false) phases.push("request");
  if (definition !== undefined && definition.supportsResponsePhase !== false) phases.push("response");
  const { name, version, sourcePath, integrity } = entry;
  const description = definition?.description ?? "";
  const listing = { name, version, description, phases, sourcePath, integrity };
  return error === undefined ? listing : { ...listing, error };
}
