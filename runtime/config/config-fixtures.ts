// What the tests of this room share: policies that write down what happens to them, and stores over real files.
import { onTestFinished } from "bun:test";
import { mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Policy, PolicyMetadata } from "@policy-engine/sdk";
import { createEngineMetrics, type EngineMetrics } from "../observability/engine-metrics.ts";
import { createLogger } from "../observability/log.ts";
import { type BuildInfo, PolicyRegistry, type RegistryEntry } from "../policy/registry.ts";
import type { EngineConfig, LimitsConfig } from "./engine-config.ts";
import { FileSource } from "./file-source.ts";
import { parseEngineConfig } from "./load-engine-config.ts";
import { RouteParser, type RouteSet } from "./route-source.ts";
import { SnapshotStore } from "./snapshot-store.ts";

export const BUILD: BuildInfo = {
  version: "test",
  gitCommit: "none",
  builtAt: "2026-01-01T00:00:00Z",
  builderVersion: "test",
  sdkVersion: "1.0.0",
  bunVersion: "test",
};

/** What happened to one instance of a policy under test. */
export interface Life {
  readonly route: string;
  readonly policy: string;
  readonly params: Readonly<Record<string, unknown>>;
  readonly metadata: PolicyMetadata;
  readonly instance: Policy;
  closed: number;
}

/** Runs before an instance is returned: throw to fail, wait to be slow. */
export type Creating = (metadata: PolicyMetadata, params: Readonly<Record<string, unknown>>) => unknown;

const TAG = `
parameters:
  type: object
  additionalProperties: false
  properties:
    name: { type: string, pattern: "^x-[a-z0-9-]+$" }
    value: { type: string, default: standard, maxLength: 64 }
    apiKey: { type: string, secret: true }`;
const SOURCES: Readonly<Record<string, string>> = {
  "tag v1.0.0": TAG,
  "tag v1.2.0": TAG,
  "tag v2.0.0": TAG,
  "jwt-validation v1.0.0": `
parameters:
  type: object
  additionalProperties: false
  required: [jwksUrl, issuer]
  properties:
    jwksUrl: { type: string, pattern: "^https://", errorMessage: jwksUrl must be HTTPS }
    issuer: { type: string }`,
  "rate-limit v1.0.0": `
parameters:
  type: object
  additionalProperties: false
  properties:
    requestsPerSecond: { type: integer, minimum: 1 }`,
  "read-body v1.0.0": "requiresRequestBody: buffered",
  "write-body v1.0.0": "requiresResponseBody: raw",
  "fail-open v1.0.0": "failureMode: open",
  "sign-in v1.0.0": `
authentication: true
parameters:
  type: object
  additionalProperties: false
  properties:
    realm: { type: string }
    subjectHeader: { type: string, default: x-user, setsHeader: request }
    key: { type: string, secret: true }`,
  "sign-in-open v1.0.0": `
authentication: true
failureMode: open
conditionError: skip
requiresRequestBody: buffered`,
  "stamp v1.0.0": `
supportsRequestPhase: true
supportsResponsePhase: true
parameters:
  type: object
  additionalProperties: false
  properties:
    request: { type: object, setsHeader: request }
    response: { type: array, items: { type: string }, setsHeader: response }`,
  "choosy v1.0.0": `
parameters:
  type: object
  properties: { even: { type: integer }, token: { type: string, secret: true } }`,
};

/** A registry of policies that write down their lives. */
export class PolicyLab {
  readonly lives: Life[] = [];
  /** What is done when an instance is created. */
  creating: Creating | undefined;
  #registry: PolicyRegistry | undefined;

  get registry(): PolicyRegistry {
    return this.#registry!;
  }

  static async open(only?: (key: string) => boolean): Promise<PolicyLab> {
    const lab = new PolicyLab();
    const entries = Object.keys(SOURCES).filter((key) => only?.(key) ?? true);
    const log = createLogger({ level: "error", format: "text", write: () => {} });
    lab.#registry = await PolicyRegistry.load(
      entries.map((key) => lab.#entry(key)),
      { build: BUILD, log },
    );
    return lab;
  }

  /** Lives of a route, oldest first. */
  of(route: string): Life[] {
    return this.lives.filter((life) => life.route === route);
  }

  #entry(key: string): RegistryEntry {
    const [name, version] = key.split(" ") as [string, string];
    const definition = `name: ${name}\nversion: ${version}\n${SOURCES[key]}\n`;
    const getPolicy = async (
      metadata: PolicyMetadata,
      params: Readonly<Record<string, unknown>>,
    ): Promise<Policy> => {
      await this.creating?.(metadata, params);
      const instance: Policy = {
        onRequest() {},
        close: () => {
          life.closed += 1;
        },
      };
      const life: Life = { route: metadata.route, policy: key, params, metadata, instance, closed: 0 };
      this.lives.push(life);
      return instance;
    };
    const validate = ({ even, token }: { even?: number; token?: string }): string[] => {
      if (even === 13) throw new Error(`unlucky ${token}`);
      return even !== undefined && even % 2 === 1 ? [`Must be even, with ${token}`, "Must be nice"] : [];
    };
    const module = name === "choosy" ? { getPolicy, validate } : { getPolicy };
    return {
      name,
      version,
      definition,
      sourcePath: `/policies/${name}`,
      integrity: "",
      load: async () => module,
    };
  }
}

/** A store over policies in a lab. */
export interface StoreKit {
  readonly lab: PolicyLab;
  readonly store: SnapshotStore;
  readonly metrics: EngineMetrics;
  /** The log, as lines of JSON. */
  readonly lines: string[];
  readonly limits: LimitsConfig;
  readonly config: EngineConfig;
}

export function createStore(lab: PolicyLab, limits: Readonly<Record<string, unknown>> = {}): StoreKit {
  const text = JSON.stringify({ routes: { path: "routes" }, metadata: { environment: "test" }, limits });
  const { config, problems } = parseEngineConfig(text, "policy-engine.yaml");
  if (config === undefined) throw new Error(JSON.stringify(problems));
  const lines: string[] = [];
  const log = createLogger({ level: "info", format: "json", write: (line) => lines.push(line) });
  const metrics = createEngineMetrics();
  const store = new SnapshotStore({ registry: lab.registry, config, build: BUILD, log, metrics });
  return { lab, store, metrics, lines, limits: config.limits, config };
}

/** A set as it comes from files, by name and text. */
export async function routeSet(
  files: Readonly<Record<string, string>>,
  limits: LimitsConfig,
): Promise<RouteSet> {
  const parser = new RouteParser(limits);
  const reads = Object.entries(files).map(([file, text]) => parser.parse(text, file));
  return { sources: await Promise.all(reads), problems: [] };
}

/** A folder of its own for the test that runs, gone when it has. */
export function temporaryFolder(): string {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), "policy-engine-config-")));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** A store and its source over a path; looked at with `source.poll()` where `watch` is not set. */
export function createSource(
  kit: StoreKit,
  options: { readonly path: string; readonly watch?: boolean; readonly pollMilliseconds?: number },
): FileSource {
  const log = createLogger({ level: "info", format: "json", write: (line) => kit.lines.push(line) });
  return new FileSource({ watch: false, ...options, limits: kit.limits, store: kit.store, log });
}

/** Routes as a text: each name with the values of its `tag` policies. */
export function routesText(routes: Readonly<Record<string, readonly string[]>>): string {
  const list = Object.entries(routes).map(([route, values]) => ({
    route,
    policies: values.map((value) => ({ name: "tag", version: "v1", parameters: { name: "x-tag", value } })),
  }));
  return Bun.YAML.stringify({ routes: list }, null, 2);
}

export function writeRoutes(path: string, routes: Readonly<Record<string, readonly string[]>>): void {
  writeFileSync(path, routesText(routes));
}

/** The values of the `tag` policies that a route runs now; undefined when it has no chain. */
export function tagsOf(kit: StoreKit, route: string): unknown[] | undefined {
  const state = kit.store.current?.lookup(route);
  if (state?.kind !== "chain") return undefined;
  return state.chain.steps.map(
    ({ policy }) => kit.lab.lives.find(({ instance }) => instance === policy)?.params.value,
  );
}
