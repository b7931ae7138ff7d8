import { expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";

const PROJECT = resolve(import.meta.dir, "../..");

/**
 * Who may import whom: a room's own files, and what stands here. `type:` allows types only; a name with a
 * scope, or one that is no room, is a package. Node's and Bun's own modules are free to all but the SDK.
 */
const ALLOWED: Readonly<Record<string, readonly string[]>> = {
  sdk: [],
  document: ["yaml", "typebox"],
  observability: ["sdk"],
  cel: ["sdk", "document", "observability", "@marcbachmann/cel-js", "@bufbuild/re2"],
  policy: ["sdk", "document", "cel", "observability"],
  chain: ["sdk", "policy", "observability"],
  config: ["sdk", "document", "policy", "cel", "chain", "observability"],
  gen: ["@bufbuild/protobuf"],
  kernel: ["sdk", "chain", "config", "observability", "type:transport"],
  transport: ["observability"],
  admin: ["config", "policy", "observability", "type:transport"],
  cli: [
    ...[
      "sdk",
      "document",
      "observability",
      "policy",
      "cel",
      "chain",
      "config",
      "kernel",
      "transport",
      "admin",
      "engine",
    ],
    ...["commander", "yaml"],
  ],
  engine: ["sdk", "observability", "policy", "chain", "config", "kernel", "transport", "admin", "cli"],
  builder: ["sdk", "document", "policy", "commander", "yaml", "typebox"],
  testing: ["sdk", "document", "policy", "chain", "observability"],
};

interface Import {
  readonly specifier: string;
  readonly typeOnly: boolean;
}

interface PackageFile {
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly devDependencies?: Readonly<Record<string, string>>;
}

interface Violation {
  readonly file: string;
  readonly imports: string;
}

/** The room a file of the project belongs to; undefined for tests, examples and scripts. */
function roomOf(file: string): string | undefined {
  const [top, second] = file.split("/");
  if (top === "runtime") return second?.includes(".") === true ? "engine" : second;
  return top === "sdk" || top === "testing" || top === "builder" ? top : undefined;
}

/** Every import of a source text, those of types too, static and dynamic. */
function importsOf(source: string): Import[] {
  const code = source.replace(/\/\*[\s\S]*?\*\//g, "").replace(/^\s*\/\/.*$/gm, "");
  const found: Import[] = [];
  for (const [, keyword = "", clause = "", specifier = ""] of code.matchAll(
    /^(import|export)\b([^;"'`]*?)(?:from\s*)?["']([^"'\n]+)["']/gm,
  )) {
    if (keyword === "export" && !/[*}]\s*$/.test(clause) && !/\bas\s+\w+\s*$/.test(clause)) continue;
    found.push({ specifier, typeOnly: /^\s*type\b/.test(clause) });
  }
  for (const [, specifier = ""] of code.matchAll(/\bimport\(\s*["']([^"'\n]+)["']/g)) {
    found.push({ specifier, typeOnly: false });
  }
  return found;
}

/** What a specifier leads to: a room, a package, or `outside` where it leaves the rooms. */
function targetOf(file: string, specifier: string): string | undefined {
  if (/^(node:|bun$|bun:)/.test(specifier)) return undefined;
  if (specifier.startsWith("@policy-engine/")) return specifier.slice("@policy-engine/".length);
  if (specifier.startsWith(".")) {
    return roomOf(relative(PROJECT, resolve(PROJECT, dirname(file), specifier))) ?? "outside";
  }
  return specifier
    .split("/")
    .slice(0, specifier.startsWith("@") ? 2 : 1)
    .join("/");
}

function violationsOf(file: string, source: string): Violation[] {
  const room = roomOf(file);
  if (room === undefined) return [];
  const allowed = ALLOWED[room];
  if (allowed === undefined) return [{ file, imports: `is in a room without a rule: ${room}` }];
  return importsOf(source).flatMap(({ specifier, typeOnly }) => {
    const target = targetOf(file, specifier);
    if (target === undefined) return room === "sdk" ? [{ file, imports: specifier }] : [];
    const fine =
      target === room || allowed.includes(target) || (typeOnly && allowed.includes(`type:${target}`));
    return fine ? [] : [{ file, imports: specifier }];
  });
}

/**
 * Policies and their tests see what their authors see elsewhere: the SDK, the testing package, own files, and what
 * their own package.json names; tests may have random input.
 */
function policyViolationsOf(file: string, source: string): Violation[] {
  const folder = dirname(file);
  const own = Object.keys(packagesOf(folder));
  return importsOf(source).flatMap(({ specifier }) => {
    const inside = specifier.startsWith(".") && !relative(folder, join(folder, specifier)).startsWith("..");
    const fine =
      inside ||
      own.includes(specifier) ||
      /^(node:|bun:|@policy-engine\/(sdk|testing)$)/.test(specifier) ||
      (specifier === "fast-check" && file.endsWith(".test.ts"));
    return fine ? [] : [{ file, imports: specifier }];
  });
}

/** Dependencies of a policy, with their versions. */
function packagesOf(folder: string): Readonly<Record<string, string>> {
  const file = join(PROJECT, folder, "package.json");
  if (!existsSync(file)) return {};
  return (JSON.parse(readFileSync(file, "utf8")) as PackageFile).dependencies ?? {};
}

async function sources(pattern: string): Promise<[file: string, source: string][]> {
  const files = await Array.fromAsync(new Bun.Glob(pattern).scan({ cwd: PROJECT }));
  const ours = files.filter((file) => !/node_modules\/|\/fixtures\//.test(file)).toSorted();
  return Promise.all(
    ours.map(async (file): Promise<[string, string]> => [file, await Bun.file(join(PROJECT, file)).text()]),
  );
}

const rooms = await sources("{runtime,sdk,testing,builder}/**/*.ts");
const engine = rooms.filter(([file]) => !file.endsWith(".test.ts"));

test("rooms import only what they may", () => {
  expect(engine.length).toBeGreaterThan(20);
  expect(engine.flatMap(([file, source]) => violationsOf(file, source))).toEqual([]);
});

test("policies import only the SDK, the testing package and their own files", async () => {
  const policies = await sources("{examples,test}/policies/**/*.ts");
  expect(policies.length).toBeGreaterThan(10);
  expect(policies.flatMap(([file, source]) => policyViolationsOf(file, source))).toEqual([]);
});

test("policies depend on the version of a package that their tests run with", async () => {
  const { devDependencies } = JSON.parse(readFileSync(join(PROJECT, "package.json"), "utf8")) as PackageFile;
  const files = await Array.fromAsync(
    new Bun.Glob("{examples,test}/policies/*/*/package.json").scan({ cwd: PROJECT }),
  );
  const wanted = files.flatMap((file) => Object.entries(packagesOf(dirname(file))));
  expect(wanted.length).toBeGreaterThan(0);
  for (const [name, version] of wanted)
    expect([name, version]).toEqual([name, devDependencies?.[name] ?? ""]);
});

test("only main.ts ends the process", () => {
  const files = engine.filter(([, source]) => /\bprocess\.exit\(/.test(source)).map(([file]) => file);
  expect(files).toEqual(["runtime/main.ts"]);
});

test("the check sees what it must refuse", () => {
  const refused: [file: string, source: string][] = [
    ["runtime/chain/x.ts", 'import { a } from "../kernel/stream.ts";'],
    ["runtime/chain/x.ts", 'import type { a } from "../gen/b.ts";'],
    ["runtime/kernel/x.ts", 'import { a } from "../transport/transport.ts";'],
    ["runtime/kernel/x.ts", 'import {\n  a,\n  b,\n} from "@grpc/grpc-js";'],
    ["runtime/policy/x.ts", 'export { a } from "../config/b.ts";'],
    ["runtime/policy/x.ts", 'export * from "../../builder/b.ts";'],
    ["runtime/policy/x.ts", 'const a = await import("../chain/b.ts");'],
    ["runtime/document/x.ts", 'import "../policy/b.ts";'],
    ["runtime/engine.ts", 'import { a } from "../test/helpers/b.ts";'],
    ["sdk/x.ts", 'import { a } from "node:fs";'],
    ["runtime/new-room/x.ts", ""],
  ];
  for (const [file, source] of refused)
    expect([file, source, violationsOf(file, source).length]).toEqual([file, source, 1]);
  const accepted: [file: string, source: string][] = [
    ["runtime/kernel/x.ts", 'import type { a } from "../transport/transport.ts";'],
    [
      "runtime/chain/x.ts",
      '// import { a } from "../kernel/stream.ts";\nimport { b } from "../../sdk/respond.ts";',
    ],
    ["runtime/chain/x.ts", 'export const a = "../kernel/stream.ts";'],
  ];
  for (const [file, source] of accepted) expect(violationsOf(file, source)).toEqual([]);
  const policy = "examples/policies/a/v1.0.0/policy.ts";
  expect(policyViolationsOf(policy, 'import { a } from "../../b/v1.0.0/policy.ts";')).toHaveLength(1);
  expect(policyViolationsOf(policy, 'import { a } from "yaml";')).toHaveLength(1);
  expect(policyViolationsOf(policy, 'import { a } from "fast-check";')).toHaveLength(1);
  expect(policyViolationsOf(policy, 'import { a } from "./params.gen.ts";')).toEqual([]);
});
