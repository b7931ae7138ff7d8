// What the documents say of keys, commands, metrics and codes is what there is, all of it and nothing else.
import { describe, expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type {
  EndContext,
  HeadersView,
  PolicyMetadata,
  RequestChanges,
  RequestContext,
  RespondOptions,
  ResponseChanges,
  ResponseContext,
} from "@policy-engine/sdk";
import { SDK_VERSION } from "@policy-engine/sdk";
import { refuseBuildFlag } from "../../builder/build-flags.ts";
import { runCli as runBuilder } from "../../builder/cli.ts";
import { readManifest } from "../../builder/manifest.ts";
import { exitCodeOf, PHASES } from "../../builder/phase.ts";
import { adminPages } from "../../runtime/admin/admin-pages.ts";
import { healthPages } from "../../runtime/admin/health-pages.ts";
import { runCli as runEngine } from "../../runtime/cli/cli.ts";
import { EXIT } from "../../runtime/cli/cli-context.ts";
import { parseEngineConfig } from "../../runtime/config/engine-config.ts";
import {
  type Bounds,
  formatQuantity,
  LIMITS,
  MESSAGE_TIMEOUT,
} from "../../runtime/config/engine-config-schema.ts";
import { validateRoutes } from "../../runtime/config/validate-routes.ts";
import { createEngineMetrics } from "../../runtime/observability/engine-metrics.ts";
import { createLogger } from "../../runtime/observability/log.ts";
import { parseDefinition } from "../../runtime/policy/parse-definition.ts";
import { type BuildInfo, PolicyRegistry } from "../../runtime/policy/registry.ts";
import { blocksOf, codesIn, DOCUMENTS, namesIn, rowOf, tableOf, textOf, unionOf } from "./doc-parts.ts";

const BUILD: BuildInfo = {
  version: "test",
  gitCommit: "",
  builtAt: "2000-01-01T00:00:00.000Z",
  builderVersion: "",
  sdkVersion: SDK_VERSION,
  bunVersion: Bun.version,
};
/** A key that nothing is called like, so that the hint about it lists every key there is. */
const UNKNOWN = "qqqqqqqqqqqqqqqqqqqq";

const CONFIGURATION = "docs/configuration.md";
const OPERATIONS = "docs/operations.md";
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
    return top
      .flatMap((key) => {
        const { problems } = parseEngineConfig(`${key}: { ${UNKNOWN}: 1 }\n`, "f");
        if (!problems.some(({ pointer }) => pointer === `/${key}/${UNKNOWN}`)) return [key];
        return keysIn(problems, `/${key}`)
          .filter((inner) => key !== "metadata" || inner !== UNKNOWN)
          .map((inner) => `${key}.${inner}`);
      })
      .sort();
  }

  /** Values that users rely on where they write none. */
  function defaults(): Map<string, string> {
    const { config } = parseEngineConfig("routes: { path: routes.yaml }\n", "f");
    const { extProc, health, admin, routes, log, onUnknownRoute, onMissingRouteKey } = config!;
    const { level, format } = log;
    return new Map(
      Object.entries({
        "extProc.address": extProc.address.text,
        "health.address": health.address.text,
        "admin.address": admin.address.text,
        "routes.watch": String(routes.watch),
        onUnknownRoute,
        onMissingRouteKey,
        "log.level": level,
        "log.format": format,
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
});

describe("the SDK", () => {
  // The compiler keeps these lists whole: a member that is new or gone is a type error here.
  const REQUEST = keysOf<RequestContext>({
    ...{ requestId: 1, route: 1, metadata: 1, log: 1, headers: 1, method: 1, path: 1, rawPath: 1, query: 1 },
    ...{ authority: 1, scheme: 1, original: 1, client: 1, attributes: 1, signal: 1, body: 1, text: 1, json: 1 },
  });
  const RESPONSE = keysOf<ResponseContext>({
    ...{ requestId: 1, route: 1, metadata: 1, log: 1, headers: 1, request: 1, status: 1, denied: 1 },
    ...{ signal: 1, body: 1, text: 1, json: 1 },
  });
  const END = keysOf<EndContext>({ requestId: 1, route: 1, metadata: 1, log: 1, outcome: 1, reason: 1 });
  const HEADER_CHANGES = { removeHeaders: 1, setHeaders: 1, addHeadersIfAbsent: 1, appendHeaders: 1 } as const;
  const REQUEST_CHANGES = keysOf<RequestChanges>({
    ...HEADER_CHANGES,
    ...{ path: 1, query: 1, method: 1, authority: 1, reroute: 1, dynamicMetadata: 1, body: 1 },
  });
  const RESPONSE_CHANGES = keysOf<ResponseChanges>({
    ...HEADER_CHANGES,
    ...{ status: 1, dynamicMetadata: 1, body: 1 },
  });
  const RESPOND = keysOf<RespondOptions>({ headers: 1, body: 1, reason: 1, grpcStatus: 1 });
  const METADATA = keysOf<PolicyMetadata>({
    ...{ name: 1, version: 1, route: 1, log: 1, signal: 1, engine: 1, build: 1, previous: 1, expression: 1 },
  });
  const HEADERS = keysOf<HeadersView>({ get: 1, getAll: 1, getBytes: 1, has: 1, entries: 1 });

  function keysOf<T>(keys: Record<keyof T, 1>): string[] {
    return Object.keys(keys).sort();
  }

  /** The names of the rows whose second column names the hook. */
  async function namedFor(heading: string, hook: string): Promise<string[]> {
    const { rows } = await tableOf(POLICIES, heading, "Property");
    return rows
      .filter((row) => codesIn(row[1]!).includes(hook))
      .flatMap((row) => codesIn(row[0]!))
      .sort();
  }

  test("what hooks see is documented for each hook", async () => {
    const heading = "What hooks see";
    expect(await namedFor(heading, "onRequest")).toEqual(REQUEST);
    expect(await namedFor(heading, "onResponse")).toEqual(RESPONSE);
    expect(await namedFor(heading, "onEnd")).toEqual(END);
    const text = await textOf(POLICIES);
    for (const name of HEADERS) expect(text).toContain(`\`${name}\``);
  });

  test("what hooks return is documented for each hook", async () => {
    const heading = "What hooks return";
    expect(await namedFor(heading, "onRequest")).toEqual(REQUEST_CHANGES);
    expect(await namedFor(heading, "onResponse")).toEqual(RESPONSE_CHANGES);
    expect(namesIn(await tableOf(POLICIES, heading, "Option"))).toEqual(RESPOND);
  });

  test("what getPolicy is told is documented", async () => {
    expect(namesIn(await tableOf(POLICIES, "What `getPolicy` is told", "Property"))).toEqual(METADATA);
    expect(await textOf(POLICIES)).toContain(`The SDK is ${SDK_VERSION}`);
  });
});

describe("operations", () => {
  /** The exposition after each metric was used once. */
  function exposition(): string {
    const metrics = createEngineMetrics();
    metrics.requests("r", "s").inc();
    metrics.requestDuration("r").observe(1);
    metrics.workerHealth.set(1);
    metrics.executions("p", "s").inc();
    metrics.executionDuration("p").observe(1);
    metrics.policyFailures("p", "r").inc();
    metrics.protocolErrors("r").inc();
    metrics.configReloads("applied").inc();
    metrics.strayErrors("exception").inc();
    return metrics.expose();
  }

  test("every metric is documented with its type and labels, and no other", async () => {
    const text = exposition();
    const found = [...text.matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(([, name = "", type = ""]) => {
      const suffix = type === "histogram" ? "_sum" : "";
      const labels = new RegExp(`^${name}${suffix}(?:\\{(.*)\\})? `, "m").exec(text);
      expect(labels, name).not.toBeNull();
      const names = [...(labels?.[1] ?? "").matchAll(/(\w+)="/g)].map(([, label]) => label).sort();
      return `${name} ${type} ${names.join(",")}`;
    });
    const { rows } = await tableOf(OPERATIONS, "Metrics", "Name");
    const documented = rows.map(([name = "", type, labels = ""]) => {
      return `${codesIn(name)[0]} ${type} ${codesIn(labels).sort().join(",")}`;
    });
    expect(documented.sort()).toEqual(found.sort());
  });

  test("metrics that documents mention exist", async () => {
    const text = exposition();
    for (const document of DOCUMENTS) {
      for (const [name] of (await textOf(document)).matchAll(/\bpolicy_(?:kernel|worker)_[a-z_]+/g))
        expect(text, document).toContain(`# TYPE ${name} `);
    }
  });

  test("every reason of a denial is documented, and no other", async () => {
    const reasons = await unionOf("runtime/chain/denial.ts", "ReasonCode");
    expect(reasons).toContain("policy_failed");
    expect(namesIn(await tableOf(OPERATIONS, "Denials", "Reason"))).toEqual(reasons);
  });

  test("states, results and outcomes are documented", async () => {
    const text = await textOf(OPERATIONS);
    const named = [
      ...(await unionOf("runtime/config/route-record.ts", "RouteStatus")),
      ...(await unionOf("runtime/observability/engine-metrics.ts", "ReloadResult")),
      ...(await unionOf("runtime/observability/engine-metrics.ts", "StrayKind")),
      ...(await unionOf("sdk/context.ts", "Outcome")),
      ...(await unionOf("runtime/admin/health-pages.ts", "Readiness")).filter((state) => state !== "ready"),
    ];
    for (const name of named) expect(text).toContain(`\`${name}\``);
  });

  test("every page is documented, and no other", async () => {
    const readiness = () => "ready" as const;
    const health = Object.keys(healthPages({ readiness, metrics: createEngineMetrics() }));
    expect(namesIn(await tableOf(OPERATIONS, "Health", "Path"))).toEqual(health.sort());
    const nothing = () => {
      throw new Error("No page is asked for");
    };
    const admin = Object.keys(adminPages({ status: nothing, config: nothing, policies: nothing }));
    expect(namesIn(await tableOf(OPERATIONS, "Admin", "Path"))).toEqual(admin.sort());
  });

  test("a log line has the fields of the example", async () => {
    const example = (await blocksOf(OPERATIONS)).find(({ language }) => language === "json");
    let line = "";
    createLogger({ level: "info", format: "json", write: (text) => (line = text) }).info("x");
    expect(Object.keys(JSON.parse(example!.code))).toEqual(Object.keys(JSON.parse(line)));
  });

  test("exit codes are those of the code", async () => {
    const engine = await tableOf(OPERATIONS, "Command line", "Exit code");
    expect(engine.rows.map(([code]) => Number(code))).toEqual(Object.values(EXIT).sort());
    const builder = await tableOf(BUILDER, "Phases", "Exit code");
    const phases = PHASES.map((phase) => [String(exitCodeOf(phase)), phase]);
    expect(builder.rows.map((row) => row.slice(0, 2))).toEqual(phases);
  });
});

describe("command lines", () => {
  type Options = Map<string, Set<string>>;

  /** The options of each command, and of the program itself as the command "". */
  async function optionsOf(help: (...args: string[]) => Promise<string>): Promise<Options> {
    const program = await help("--help");
    const names = [...program.matchAll(/^ {2}([a-z-]+) \[options\]/gm)].map(([, name]) => name!);
    const options: Options = new Map([["", optionsIn(program)]]);
    for (const name of names) options.set(name, optionsIn(await help(name, "--help")));
    return options;
  }

  function optionsIn(help: string): Set<string> {
    return new Set(
      [...help.matchAll(/^ {2}(?:(-\w), )?(--[a-z-]+)/gm)].flatMap(([, short, long]) =>
        short === undefined ? [long!] : [long!, short],
      ),
    );
  }

  const engine = await optionsOf(async (...args) => {
    let text = "";
    const io = { out: (part: string) => (text += part), err: () => {}, colours: false };
    await runEngine(args, { policies: [], build: BUILD, io });
    return text;
  });
  const builder = await optionsOf(async (...args) => {
    let text = "";
    const { signal } = new AbortController();
    const terminal = { out: (part: string) => (text += part), err: () => {}, colours: false, cwd: ".", signal };
    await runBuilder(args, terminal);
    return text;
  });

  /** What the table of options says, in the same form. "all" are the commands and the program. */
  async function documented(document: string, heading: string, commands: Options): Promise<Options> {
    const { rows } = await tableOf(document, heading, "Option");
    const found: Options = new Map([...commands.keys()].map((name) => [name, new Set<string>()]));
    for (const [names = "", of = ""] of rows) {
      const all = [...commands.keys()].filter((name) => name !== "" || codesIn(names).includes("--help"));
      const named = of === "all" ? all : (of.match(/[a-z]+(?:-[a-z]+)*/g) ?? [""]);
      for (const name of of === "the program" ? [""] : named)
        for (const option of codesIn(names)) found.get(name)?.add(option);
    }
    return found;
  }

  const plain = (options: Options) =>
    Object.fromEntries([...options].map(([name, set]) => [name, [...set].sort()]));

  test("every command and option of policy-engine is documented, and no other", async () => {
    expect([...engine.keys()]).toContain("serve");
    const commands = namesIn(await tableOf(OPERATIONS, "Command line", "Command"));
    const names = [...engine.keys()].filter((name) => name !== "");
    expect(commands).toEqual(names.map((name) => `policy-engine ${name}`).sort());
    expect(plain(await documented(OPERATIONS, "Command line", engine))).toEqual(plain(engine));
  });

  test("every command and option of policy-builder is documented, and no other", async () => {
    expect([...builder.keys()]).toContain("build");
    const commands = namesIn(await tableOf(BUILDER, "Building", "Command"));
    const names = [...builder.keys()].filter((name) => name !== "");
    expect(commands).toEqual(names.map((name) => `policy-builder ${name}`).sort());
    const written = plain(await documented(BUILDER, "Building", builder));
    const inCode = plain(builder);
    for (const options of Object.values(inCode)) options.splice(0, options.length, ...options.filter(isLong));
    expect(written).toEqual(inCode);
  });

  const isLong = (option: string): boolean => option.startsWith("--");

  test("commands that documents show have the options they are shown with", async () => {
    let shown = 0;
    for (const document of DOCUMENTS) {
      const blocks = (await blocksOf(document)).filter(({ language }) => ["sh", "ini"].includes(language));
      const text = blocks.map(({ code }) => code.replaceAll("\\\n", " ")).join("\n");
      const calls = text.matchAll(/(?:^|[ =/])(policy-engine|policy-builder)((?: +[^\s>#&|]+)+)/gm);
      for (const [call, program, rest = ""] of calls) {
        const words = rest.trim().split(/ +/);
        const command = words[0]!.startsWith("-") ? "serve" : words[0]!;
        const options = (program === "policy-engine" ? engine : builder).get(command);
        expect(options, `${document}: ${call}`).toBeDefined();
        for (const word of words.filter((each) => each.startsWith("-")))
          expect([...options!], `${document}: ${call}`).toContain(word);
        shown += 1;
      }
    }
    expect(shown).toBeGreaterThan(7);
  });

  test("options in the text exist", async () => {
    const known = new Set([...engine.values(), ...builder.values()].flatMap((set) => [...set]));
    for (const document of DOCUMENTS) {
      const prose = (await textOf(document)).replace(/^```[\s\S]*?^```$/gm, "");
      for (const option of codesIn(prose).filter(isLong)) {
        const exists = known.has(option) || refuseBuildFlag(option) === undefined;
        expect([document, option, exists]).toEqual([document, option, true]);
      }
    }
  });
});
