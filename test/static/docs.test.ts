// What the documents say of keys, defaults and ranges is what the code reads, all of it and nothing else.
import { describe, expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readManifest } from "../../builder/manifest.ts";
import type { BuildReport } from "../../builder/report.ts";
import {
  type Bounds,
  formatQuantity,
  LIMITS,
  MESSAGE_TIMEOUT,
} from "../../runtime/config/engine-config-schema.ts";
import { parseEngineConfig } from "../../runtime/config/load-engine-config.ts";
import { validateRoutes } from "../../runtime/config/validate-routes.ts";
import { createLogger } from "../../runtime/observability/log.ts";
import { parseDefinition } from "../../runtime/policy/parse-definition.ts";
import { PolicyRegistry } from "../../runtime/policy/registry.ts";
import { BUILD, codesIn, namesIn, rowOf, tableOf, textOf } from "./doc-parts.ts";

/** A key that nothing is called like, so that the hint about it lists every key there is. */
const UNKNOWN = "qqqqqqqqqqqqqqqqqqqq";
const CONFIGURATION = "docs/configuration.md";
const POLICIES = "docs/writing-policies.md";
const BUILDER = "docs/builder.md";

function keysIn(problems: readonly { pointer: string; hint?: string }[], pointer: string): string[] {
  const hint = problems.find((problem) => problem.pointer === `${pointer}/${UNKNOWN}`)?.hint ?? "";
  const list = /^(?:Known here: |Keys are )([^…]*)$/.exec(hint)?.[1];
  if (list === undefined) throw new Error(`Cannot tell the keys at "${pointer}" from the hint "${hint}"`);
  return list.split(", ").sort();
}

describe("engine configuration", () => {
  const heading = "policy-engine.yaml";

  /** Every key, those of maps with fixed keys with a dot. */
  function engineKeys(): string[] {
    const top = keysIn(parseEngineConfig(`${UNKNOWN}: 1\n`, "f").problems, "");
    return top.flatMap((key) => keysBelow([key])).sort();
  }

  function keysBelow(path: readonly string[]): string[] {
    const text = path.reduceRight((inner, key) => `{ ${key}: ${inner} }`, `{ ${UNKNOWN}: 1 }`);
    const { problems } = parseEngineConfig(text, "f");
    const closed = problems.some(({ message }) => message.startsWith("Unknown key"));
    if (!closed) return [path.join(".")];
    return keysIn(problems, `/${path.join("/")}`).flatMap((key) => keysBelow([...path, key]));
  }

  /** Values that users rely on where they write none. */
  function defaults(): Map<string, string> {
    const { config } = parseEngineConfig("routes: { path: routes.yaml }\n", "f");
    const { extProc, health, admin, routes, denials, log, onUnknownRoute, onMissingRouteKey } = config!;
    return new Map(
      Object.entries({
        "extProc.address": extProc.address.text,
        "health.address": health.address.text,
        "admin.address": admin.address.text,
        "routes.watch": String(routes.watch),
        onUnknownRoute,
        onMissingRouteKey,
        "denials.format": denials.format,
        "log.level": log.level,
        "log.format": log.format,
        "log.sampleRate": String(log.sampleRate),
      }),
    );
  }

  test("every key is documented, and no other", async () => {
    expect(engineKeys()).toContain("limits.routes");
    expect(namesIn(await tableOf(CONFIGURATION, heading, "Key"))).toEqual(engineKeys());
  });

  test("defaults and ranges of quantities are those of the code", async () => {
    const table = await tableOf(CONFIGURATION, heading, "Key");
    const quantities: [string, Bounds][] = [["extProc.messageTimeout", MESSAGE_TIMEOUT]];
    for (const [key, bounds] of Object.entries(LIMITS)) quantities.push([`limits.${key}`, bounds]);
    for (const [key, bounds] of quantities) {
      const [, , standard, range] = rowOf(table, `\`${key}\``);
      const format = (value: number): string => formatQuantity(value, bounds);
      expect([key, standard]).toEqual([key, `\`${format(bounds.standard)}\``]);
      expect([key, range]).toEqual([key, `${format(bounds.least)} to ${format(bounds.most)}`]);
    }
  });

  test("other defaults are those of the code", async () => {
    const table = await tableOf(CONFIGURATION, heading, "Key");
    for (const [key, value] of defaults())
      expect([key, rowOf(table, `\`${key}\``)[2]]).toEqual([key, `\`${value}\``]);
  });
});

describe("route files", () => {
  async function routeKeys(): Promise<string[]> {
    const folder = await mkdtemp(join(tmpdir(), "policy-engine-docs-"));
    try {
      const file = join(folder, "routes.yaml");
      const log = createLogger({ level: "error", format: "text", write: () => {} });
      const registry = await PolicyRegistry.load([], { build: BUILD, log });
      const { config } = parseEngineConfig("routes: { path: x }\n", "f");
      const keysAt = async (text: string, pointer: string): Promise<string[]> => {
        await Bun.write(file, text);
        const { problems } = await validateRoutes(file, { registry, config: config! });
        return keysIn(problems, pointer);
      };
      const route = `routes: [{ route: a, ${UNKNOWN}: 1, policies: [{ name: a, version: v1, ${UNKNOWN}: 1 }] }]\n`;
      return [
        ...(await keysAt(`${UNKNOWN}: 1\nroutes: []\n`, "")),
        ...(await keysAt(route, "/routes/0")).map((key) => `routes[].${key}`),
        ...(await keysAt(route, "/routes/0/policies/0")).map((key) => `policies[].${key}`),
      ].sort();
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  }

  test("every key is documented, and no other", async () => {
    const keys = await routeKeys();
    expect(keys).toContain("policies[].executionCondition");
    expect(namesIn(await tableOf(CONFIGURATION, "Route files", "Key"))).toEqual(keys);
  });
});

describe("definitions and manifests", () => {
  test("every key of a definition is documented with its default, and no other", async () => {
    const table = await tableOf(POLICIES, "The definition", "Key");
    const { problems } = parseDefinition(`name: a\nversion: v1.0.0\n${UNKNOWN}: 1\n`, "f");
    expect(namesIn(table)).toEqual(keysIn(problems, ""));
    const { definition } = parseDefinition("name: a\nversion: v1.0.0\n", "f");
    for (const key of [
      "requiresRequestBody",
      "requiresResponseBody",
      "failureMode",
      "conditionError",
      "appliesToDenials",
    ] as const) {
      expect([key, rowOf(table, `\`${key}\``)[1]]).toEqual([key, `\`${definition![key]}\``]);
    }
  });

  test("every key and type of a listed parameter is documented, and no other", async () => {
    const table = await tableOf(POLICIES, "Parameters", "Key");
    const probe = (item: string): string[] => {
      const { problems } = parseDefinition(`name: a\nversion: v1.0.0\nparameters: [{ ${item} }]\n`, "f");
      return problems.flatMap(({ hint }) => /^Known here: ([^…]*)$/.exec(hint ?? "")?.[1]?.split(", ") ?? []);
    };
    const keys = probe(`name: a, type: int, ${UNKNOWN}: 1`);
    expect(keys.length).toBeGreaterThan(5);
    expect(namesIn(table)).toEqual(keys.sort());
    const types = probe(`name: a, type: ${UNKNOWN}`);
    expect(types).toContain("duration");
    expect(codesIn(rowOf(table, "`type`")[1]!).sort()).toEqual(types.sort());
  });

  test("every key of `validation` is one", async () => {
    const table = await tableOf(POLICIES, "Parameters", "Key");
    const keys = codesIn(rowOf(table, "`validation`")[1]!);
    const list = await textOf("runtime/policy/typed-parameters.ts");
    const known = /const VALIDATION[^{]*\{([^}]*)\}/.exec(list)?.[1] ?? "";
    expect(keys.sort()).toEqual([...known.matchAll(/^\s*(\w+):/gm)].map(([, key]) => key!).sort());
  });

  test("every key of a manifest is documented, and no other", async () => {
    const file = join(tmpdir(), `policy-engine-docs-${process.pid}.yaml`);
    const text = `version: v1\n${UNKNOWN}: 1\npolicies: [{ name: a, uri: a, ${UNKNOWN}: 1 }]\n`;
    try {
      await Bun.write(file, text);
      const { problems } = await readManifest(file, "f");
      const keys = [
        ...keysIn(problems, ""),
        ...keysIn(problems, "/policies/0").map((key) => `policies[].${key}`),
      ];
      expect(namesIn(await tableOf(BUILDER, "Manifest", "Key"))).toEqual(keys.sort());
    } finally {
      await rm(file, { force: true });
    }
  });

  test("every key of a build's report is documented, and no other", async () => {
    // The compiler keeps the list whole.
    const keys: Record<keyof BuildReport, 1> = {
      ...{
        ok: 1,
        phase: 1,
        error: 1,
        details: 1,
        problems: 1,
        phases: 1,
        policies: 1,
        build: 1,
        artifacts: 1,
      },
    };
    expect(namesIn(await tableOf(BUILDER, "Results", "Key"))).toEqual(Object.keys(keys).sort());
  });
});
