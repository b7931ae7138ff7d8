// Each document is a folder: a fence that begins with a file's name is that file. The folder has to work.
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { build } from "../../builder/build.ts";
import { readManifest } from "../../builder/manifest.ts";
import { writeTypes } from "../../builder/types-command.ts";
import { runCli } from "../../runtime/cli/cli.ts";
import { loadEngineConfig, parseEngineConfig } from "../../runtime/config/load-engine-config.ts";
import { validateRoutes } from "../../runtime/config/validate-routes.ts";
import { parseYaml } from "../../runtime/document/yaml-document.ts";
import { createLogger } from "../../runtime/observability/log.ts";
import { parseDefinition } from "../../runtime/policy/parse-definition.ts";
import { type PolicyModule, PolicyRegistry, type RegistryEntry } from "../../runtime/policy/registry.ts";
import { checkTypes } from "../types/check.ts";
import { type Block, BUILD, blocksOf, DOCUMENTS, PROJECT, textOf } from "./doc-parts.ts";

/** A build runs a compiler; another may be at work on the same machine. */
const BUILD_TIMEOUT_MS = 120_000;
/** Languages whose fences are files. Commands and output are checked in other ways. */
const FILES = ["yaml", "ts", "ini"];
const OTHERS = ["sh", "text", "json"];

const blocks = (await Promise.all(DOCUMENTS.map(blocksOf))).flat();
const files = blocks.filter(({ language }) => FILES.includes(language));
const withPolicies = DOCUMENTS.filter((document) =>
  files.some((block) => block.document === document && block.path?.endsWith("policy.ts")),
);

let root: string;

/** Within the project, so that examples import the packages as a reader's do. */
beforeAll(async () => {
  await mkdir(join(PROJECT, ".cache"), { recursive: true });
  root = await mkdtemp(join(PROJECT, ".cache/docs-"));
  for (const block of files) await Bun.write(placeOf(block), block.code);
  for (const document of withPolicies) {
    const types = await writeTypes({ policiesDirs: [join(folderOf(document), "policies")] }, root);
    expect(types.problems).toEqual([]);
  }
});

afterAll(() => rm(root, { recursive: true, force: true }));

function folderOf(document: string): string {
  return join(root, document.replaceAll("/", "-"));
}

function placeOf({ document, path }: Block): string {
  return join(folderOf(document), path ?? "unnamed");
}

function of(name: string): [string, Block][] {
  return files
    .filter(({ path }) => path !== undefined && basename(path) === name)
    .map((block) => [`${block.document}:${block.line}`, block]);
}

/** A folder's text output in a document, without trailing blanks. */
function shown(document: string, beginning: string): string {
  const found = blocks.filter((block) => block.document === document && block.code.startsWith(beginning));
  expect(found).toHaveLength(1);
  return found[0]!.code.trim();
}

/** The policies of all documents and of the examples. */
async function entries(): Promise<RegistryEntry[]> {
  const folders = [join(PROJECT, "examples/policies"), ...withPolicies.map(folderOf)];
  const found = new Map<string, RegistryEntry>();
  for (const folder of folders) {
    for (const file of new Bun.Glob("**/policy-definition.yaml").scanSync({ cwd: folder, absolute: true })) {
      const text = await Bun.file(file).text();
      const { definition } = parseDefinition(text, file);
      const { name, version } = definition!;
      const load = async (): Promise<PolicyModule> => await import(join(dirname(file), "policy.ts"));
      found.set(`${name} ${version}`, {
        name,
        version,
        definition: text,
        sourcePath: "",
        integrity: "",
        load,
      });
    }
  }
  return [...found.values()];
}

test("every example of a file names its file, and every other is known", () => {
  expect(files.filter(({ path }) => path === undefined)).toEqual([]);
  const languages = new Set(blocks.map(({ language }) => language));
  expect([...languages].filter((language) => ![...FILES, ...OTHERS].includes(language))).toEqual([]);
  const paths = files.map(({ document, path }) => `${document}: ${path}`);
  expect(new Set(paths).size).toBe(paths.length);
  const checked = [
    ...["policy-definition.yaml", "policy-manifest.yaml", "policy-engine.yaml", "routes.yaml"],
    ...["docker-compose.yaml", "policy-engine.service", "policy.ts", "policy.test.ts"],
    // Proven in test/e2e/reasons.test.ts, through an Envoy that has it.
    "access-log.yaml",
  ];
  expect([...new Set(files.map(({ path }) => basename(path!)))].sort()).toEqual(checked.sort());
});

test.each(of("policy-definition.yaml"))("the definition at %s is valid", (_place, { code, path }) => {
  expect(parseDefinition(code, path!).problems).toEqual([]);
});

test.each(of("policy-manifest.yaml"))("the manifest at %s is valid", async (_place, block) => {
  const { problems, references } = await readManifest(placeOf(block), block.path!);
  expect(problems).toEqual([]);
  expect(references.length).toBeGreaterThan(0);
});

test.each(of("policy-engine.yaml"))("the configuration at %s is valid", (_place, block) => {
  const { config, problems } = loadEngineConfig(placeOf(block));
  expect(problems).toEqual([]);
  expect(config?.routes.path).toBe(join(folderOf(block.document), "routes.yaml"));
});

test("the configuration with every default written out is the default", () => {
  const [, { code }] = of("policy-engine.yaml").find(([, { document }]) =>
    document.includes("configuration"),
  )!;
  const written = parseEngineConfig(code, "f").config;
  expect(written).toBeDefined();
  expect(written).toEqual(parseEngineConfig("routes: { path: routes.yaml }\n", "f").config);
});

test.each(of("routes.yaml"))("the routes at %s are valid", async (_place, block) => {
  const log = createLogger({ level: "error", format: "text", write: () => {} });
  const registry = await PolicyRegistry.load(await entries(), { build: BUILD, log });
  const { config } = parseEngineConfig("routes: { path: routes.yaml }\n", "f");
  process.env.ACME_API_KEY = "a-key-for-the-examples";
  try {
    const report = await validateRoutes(placeOf(block), { registry, config: config! });
    expect(report.problems).toEqual([]);
    expect(report.routes.length).toBeGreaterThan(0);
  } finally {
    delete process.env.ACME_API_KEY;
  }
});

test("the output that is shown of validate, explain and run is what they print", async () => {
  const folder = folderOf("README.md");
  const context = { policies: await entries(), build: BUILD };
  const run = async (...args: string[]): Promise<string> => {
    let text = "";
    const io = {
      out: (part: string) => (text += part),
      err: (part: string) => (text += part),
      colours: false,
    };
    await runCli(args, { ...context, io });
    return text.replaceAll(`${folder}/`, "").trim();
  };
  const config = join(folder, "policy-engine.yaml");
  expect(await run("explain", "--config", config, "--route", "orders")).toBe(
    shown("docs/operations.md", 'Route "orders": its policies decide'),
  );
  const request = join(folder, "request.http");
  await Bun.write(request, shown("docs/operations.md", "GET /orders"));
  expect(await run("run", "--config", config, "--route", "orders", "--request", request)).toBe(
    shown("docs/operations.md", 'Route "orders": passed'),
  );
  const routes = join(folder, "routes.yaml");
  const before = await Bun.file(routes).text();
  try {
    await Bun.write(routes, before.replace("require-tenant", "require-tenants"));
    expect(await run("validate", "--config", config)).toBe(shown("docs/configuration.md", "routes.yaml:"));
  } finally {
    await Bun.write(routes, before);
  }
}, 30_000);

test.each(of("docker-compose.yaml"))(
  "the services at %s fit the generated image",
  async (_place, { code }) => {
    const document = parseYaml(code, "f");
    expect(document.problems).toEqual([]);
    const { services } = document.value as {
      services: Record<string, { volumes?: string[]; command?: string[]; image?: string }>;
    };
    const config = /CMD \["--config", "([^"]+)"\]/.exec(await textOf("templates/Dockerfile.tmpl"))?.[1];
    const targets = services["policy-engine"]!.volumes!.map((volume) => volume.split(":")[1]!);
    expect(targets).toContain(config!);
    // The routes are named relative to the configuration.
    expect(targets).toContain(join(dirname(config!), "routes.yaml"));
    const { volumes = [], command = [] } = services.envoy!;
    expect(volumes.map((volume) => volume.split(":")[1]!)).toContain(command.at(-1)!);
  },
);

test("TypeScript examples are right for the type checker", async () => {
  const paths = files.filter(({ language }) => language === "ts").map(placeOf);
  expect(paths.length).toBeGreaterThan(4);
  const { errors, output } = await checkTypes(paths);
  expect([...errors.keys()], output).toEqual([]);
}, 30_000);

test.each(of("policy.test.ts"))(
  "the test at %s passes",
  async (_place, block) => {
    const command = [process.execPath, "test", placeOf(block)];
    const run = Bun.spawn(command, { cwd: PROJECT, stdout: "pipe", stderr: "pipe" });
    const [stdout, stderr, exitCode] = await Promise.all([run.stdout.text(), run.stderr.text(), run.exited]);
    expect(exitCode, stdout + stderr).toBe(0);
    expect(stderr).toMatch(/^ [1-9]\d* pass$/m);
  },
  30_000,
);

/** Builds the policies that a document shows, as its manifest says, if it has one. */
function buildExample(document: string) {
  const cwd = folderOf(document);
  const manifest = files.some(
    (block) => block.document === document && block.path === "policy-manifest.yaml",
  );
  const selection = manifest ? { manifest: "policy-manifest.yaml" } : { policiesDirs: ["policies"] };
  return build({ ...selection, output: "dist", cwd, builtAt: new Date(0) });
}

test.each([...withPolicies])(
  "the policies of %s are built into an executable",
  async (document) => {
    const report = await buildExample(document);
    expect(report.problems).toEqual([]);
    expect(report.ok).toBe(true);
    expect(report.policies.length).toBeGreaterThan(0);
    await rm(join(folderOf(document), "dist"), { recursive: true });
  },
  BUILD_TIMEOUT_MS,
);

test("the problem that is shown of a build is what the builder says", async () => {
  const file = join(folderOf("README.md"), "policies/require-tenant/v1.0.0/policy.ts");
  const before = await Bun.file(file).text();
  try {
    await Bun.write(file, before.replace("respond(403,", 'respond("403",'));
    const report = await buildExample("README.md");
    expect(report.ok).toBe(false);
    const text = shown("docs/builder.md", "[1/5]");
    for (const line of report.details.flatMap(({ errors }) => errors)) expect(text).toContain(line);
    expect(text).toContain(`error: ${report.error}`);
  } finally {
    await Bun.write(file, before);
  }
}, 60_000);
