// Builds that succeed, and what must not sway them, through the builder's library.
import { afterAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type BuildOptions, build } from "../../builder/build.ts";
import type { BuildReport } from "../../builder/report.ts";
import {
  existsSync,
  manifestOf,
  PLAIN_POLICY,
  plainPolicy,
  removeFolders,
  temporaryFolder,
  writeFiles,
} from "./folders.ts";

afterAll(removeFolders);
setDefaultTimeout(120_000);

/** Compiles fast; the first test and those of cli.test.ts take the real engine. */
const FAKE = join(import.meta.dir, "fake-runtime");

interface Run {
  readonly report: BuildReport;
  readonly cwd: string;
  readonly out: string;
  readonly work: string;
}

async function buildFiles(
  files: Readonly<Record<string, string>>,
  options: Partial<BuildOptions> & { folder?: string } = {},
): Promise<Run> {
  const cwd = temporaryFolder(options.folder);
  const work = temporaryFolder();
  writeFiles(cwd, files);
  const report = await build({
    manifest: "manifest.yaml",
    output: "out",
    cwd,
    workDir: work,
    runtime: FAKE,
    ...options,
  });
  return { report, cwd, out: join(cwd, "out"), work };
}

function ask(run: Run, ...args: string[]): string {
  const child = Bun.spawnSync([join(run.out, "policy-engine"), ...args], { cwd: temporaryFolder() });
  if (child.exitCode !== 0) throw new Error(child.stderr.toString());
  return child.stdout.toString();
}

function listed(run: Run): string[] {
  const { policies } = JSON.parse(ask(run, "policies", "--json"));
  return policies.map((policy: { name: string; version: string }) => `${policy.name}:${policy.version}`);
}

function messages(report: BuildReport): string[] {
  return report.problems.map((problem) => problem.message);
}

describe("a build", () => {
  test("US5.1 US5.3 FR-034 FR-036 FR-041 FR-042: holds the policies of the manifest, versions side by side", async () => {
    const run = await buildFiles(
      {
        "manifest.yaml": manifestOf({ gate: "./gate/v2", door: "door" }).concat(
          "  - { name: gate, uri: gate/v1 }\n",
        ),
        ...plainPolicy("gate/v1", "gate"),
        ...plainPolicy("gate/v2", "gate", "v2.0.0"),
        ...plainPolicy("door", "door"),
      },
      { runtime: undefined },
    );

    expect(run.report.error).toBeUndefined();
    expect(listed(run)).toEqual(["door:v1.0.0", "gate:v1.0.0", "gate:v2.0.0"]);
    expect(run.report.phases.map(({ phase, ok }) => [phase, ok])).toEqual([
      ["discovery", true],
      ["validation", true],
      ["generation", true],
      ["compilation", true],
      ["packaging", true],
    ]);
    expect(readdirSync(run.out).toSorted()).toEqual([
      "Dockerfile",
      "build-report.json",
      "definitions",
      "policy-engine",
    ]);
    expect(readFileSync(join(run.out, "definitions", "gate-v2.0.0.yaml"), "utf8")).toBe(
      "name: gate\nversion: v2.0.0\n",
    );
    expect(readdirSync(run.work)).toEqual([]);
    expect(readdirSync(join(run.cwd, "door")).toSorted()).toEqual(["policy-definition.yaml", "policy.ts"]);
  });

  test("FR-043: writes a Dockerfile that runs as another user than root, with labels, ports and command", async () => {
    const run = await buildFiles(
      { "manifest.yaml": manifestOf({ gate: "gate" }), ...plainPolicy("gate", "gate") },
      { version: "v1.2.3", gitCommit: "abc123", builtAt: new Date(0) },
    );

    const lines = readFileSync(join(run.out, "Dockerfile"), "utf8").split("\n");
    expect(lines).toContain("FROM gcr.io/distroless/base-nossl-debian12:nonroot");
    expect(lines).toContain("COPY policy-engine /app/policy-engine");
    expect(lines).toContain('LABEL org.opencontainers.image.version="v1.2.3"');
    expect(lines).toContain('LABEL org.opencontainers.image.revision="abc123"');
    expect(lines).toContain('LABEL org.opencontainers.image.created="1970-01-01T00:00:00.000Z"');
    expect(lines).toContain('LABEL policy-engine.loaded-policies="gate:v1.0.0"');
    expect(lines).toContain("USER nonroot:nonroot");
    expect(lines).toContain("EXPOSE 9001 9090");
    expect(lines).toContain('ENTRYPOINT ["/app/policy-engine"]');
    expect(lines).toContain('CMD ["--config", "/etc/policy-engine/config.yaml"]');
  });

  test("FR-045: embeds version, commit, time and the policies' digests", async () => {
    const run = await buildFiles(
      { "manifest.yaml": manifestOf({ gate: "gate" }), ...plainPolicy("gate", "gate") },
      { version: "v1.2.3", gitCommit: "abc123", builtAt: new Date(0) },
    );

    expect(JSON.parse(ask(run, "version", "--json"))).toMatchObject({
      version: "v1.2.3",
      gitCommit: "abc123",
      builtAt: "1970-01-01T00:00:00.000Z",
      bunVersion: Bun.version,
    });
    const sha256 = (text: string): string => new Bun.CryptoHasher("sha256").update(text).digest("hex");
    const digest = sha256(
      `${sha256("name: gate\nversion: v1.0.0\n")}  policy-definition.yaml\n${sha256(PLAIN_POLICY)}  policy.ts\n`,
    );
    expect(JSON.parse(ask(run, "policies", "--json")).policies[0].integrity).toBe(`sha256-${digest}`);
    expect(JSON.parse(readFileSync(join(run.out, "build-report.json"), "utf8"))).toMatchObject({
      ok: true,
      policies: [{ name: "gate", version: "v1.0.0", sourcePath: "gate" }],
      artifacts: { binary: "policy-engine", definitions: ["definitions/gate-v1.0.0.yaml"] },
    });
  });

  test("edge: zero policies make an engine", async () => {
    const run = await buildFiles({ "manifest.yaml": "version: v1\npolicies: []\n" });

    expect(run.report.ok).toBe(true);
    expect(listed(run)).toEqual([]);
  });

  test("FR-033: --policies-dir finds policies by their definition, whatever the file's name, in folders only", async () => {
    const run = await buildFiles(
      {
        ...plainPolicy("mine/team/gate/v1.0.0", "gate"),
        ...plainPolicy("mine/.hidden", "hidden"),
        ...plainPolicy("mine/node_modules/dependency", "dependency"),
        "theirs/policy.yaml": "name: door\nversion: v1.0.0\n",
        "theirs/policy.ts": PLAIN_POLICY,
        ...plainPolicy("theirs/inside", "inside"),
      },
      { manifest: undefined, policiesDirs: ["mine", "theirs/", "mine/team"] } as never,
    );

    expect(messages(run.report)).toEqual([
      'Cannot build "gate:v1.0.0" twice: "mine/team/gate/v1.0.0" defines it too',
    ]);
    expect(run.report.phase).toBe("validation");
    const again = await build({
      policiesDirs: ["mine", "theirs/"],
      output: "out",
      runtime: FAKE,
      cwd: run.cwd,
    });
    expect(again.error).toBeUndefined();
    expect(listed(run)).toEqual(["door:v1.0.0", "gate:v1.0.0"]);
  });

  test("edge: Policy registration conflict: one name and version twice is no engine", async () => {
    const run = await buildFiles({
      "manifest.yaml": manifestOf({ gate: "./mine" }).concat("  - { name: gate, uri: ./theirs }\n"),
      ...plainPolicy("mine", "gate"),
      ...plainPolicy("theirs", "gate"),
    });
    expect(run.report.ok).toBe(false);
    expect(messages(run.report)).toEqual([
      expect.stringMatching(/^Cannot build "gate:v1.0.0" twice: .* it too$/),
    ]);
    expect(existsSync(join(run.out, "policy-engine"))).toBe(false);
  });

  test("FR-036: takes relative, absolute and file: paths, with blanks and other alphabets", async () => {
    const folder = "bäuer mit leer zeichen ☃-";
    const cwd = temporaryFolder(folder);
    writeFiles(cwd, {
      ...plainPolicy("pölicies/one and one", "one"),
      ...plainPolicy("two", "two"),
      ...plainPolicy("three %41", "three"),
      "here/manifest.yaml": manifestOf({
        one: "../pölicies/one and one",
        two: join(cwd, "two"),
        three: new URL(`file://${join(cwd, "three %2541").replaceAll(" ", "%20")}`).href,
      }),
    });
    const report = await build({
      manifest: "../here/manifest.yaml",
      output: "../o ut",
      cwd: join(cwd, "two"),
    });

    expect(report.error).toBeUndefined();
    expect(listed({ report, cwd, out: join(cwd, "o ut"), work: "" })).toEqual([
      "one:v1.0.0",
      "three:v1.0.0",
      "two:v1.0.0",
    ]);
  });

  test("a policy that throws when it is imported builds, and is a warning with its name", async () => {
    const run = await buildFiles({
      "manifest.yaml": manifestOf({ gate: "gate", bad: "bad" }),
      ...plainPolicy("gate", "gate"),
      "bad/policy-definition.yaml": "name: bad\nversion: v1.0.0\n",
      "bad/policy.ts": `${PLAIN_POLICY}\nif (Date.now() > 0) throw new Error("no database");\n`,
    });

    expect(run.report.ok).toBe(true);
    expect(run.report.problems.map(({ policy, severity }) => [policy, severity])).toEqual([
      ["bad:v1.0.0", "warning"],
    ]);
    expect(listed(run)).toEqual(["bad:v1.0.0", "gate:v1.0.0"]);
  });

  test("a policy with body phases builds", async () => {
    const run = await buildFiles({
      "manifest.yaml": manifestOf({ body: "body" }),
      "body/policy-definition.yaml":
        "name: body\nversion: v1.0.0\nrequiresRequestBody: buffered\nrequiresResponseBody: raw\n",
      "body/policy.ts": `import type { PolicyFactory } from "@policy-engine/sdk";
export const getPolicy: PolicyFactory = () => ({
  onRequest: (ctx) => ({ body: ctx.text()?.toUpperCase() ?? null }),
  onResponse: (ctx) => ({ body: ctx.body }),
});
`,
    });

    expect(run.report.error).toBeUndefined();
    expect(listed(run)).toEqual(["body:v1.0.0"]);
  });

  test("a build is the same again, wherever it is done: registry and digests", async () => {
    const files = { "manifest.yaml": manifestOf({ gate: "gate" }), ...plainPolicy("gate", "gate") };
    const digests = [];
    for (const folder of ["one-", "another-"]) {
      const { work, report } = await buildFiles(files, { folder, keepWorkDir: true });
      const [dir = ""] = readdirSync(work);
      digests.push([readFileSync(join(work, dir, "policies.gen.ts"), "utf8"), report.policies]);
    }
    expect(digests[0]).toEqual(digests[1]!);
  });
});

describe("files that are not the builder's to follow", () => {
  const HOSTILE = {
    "gate/tsconfig.json":
      '{ "compilerOptions": { "strict": false, "paths": { "@policy-engine/sdk": ["./evil.ts"] } } }',
    "gate/bunfig.toml": 'preload = ["./evil.ts"]\n[macros]\nx = { y = "./evil.ts" }\n',
    "gate/.npmrc": "registry=http://127.0.0.1:9/\n",
    "gate/.env": "LEAK=zz-value-of-dotenv\nNODE_ENV=evil\n",
    "gate/evil.ts":
      'await Bun.write("/tmp/should-not-exist-policy-builder", "x");\nexport const respond = 1;\n',
    "tsconfig.json": '{ "compilerOptions": { "paths": { "@policy-engine/sdk": ["./gate/evil.ts"] } } }',
    "bunfig.toml": 'preload = ["./gate/evil.ts"]\n',
    ".env": "LEAK=zz-value-of-dotenv\n",
  };

  test("a policy's own tsconfig, bunfig, .npmrc and .env change nothing", async () => {
    const policy = `import { respond, type PolicyFactory } from "@policy-engine/sdk";
const leak = process.env.LEAK ?? "none";
export const getPolicy: PolicyFactory = () => ({ onRequest: () => respond(403, { body: leak }) });
`;
    const run = await buildFiles({
      "manifest.yaml": manifestOf({ gate: "gate" }),
      ...plainPolicy("gate", "gate"),
      "gate/policy.ts": policy,
      ...HOSTILE,
    });

    expect(run.report.error).toBeUndefined();
    expect(readFileSync(join(run.out, "policy-engine")).includes("zz-value-of-dotenv")).toBe(false);
    expect(existsSync("/tmp/should-not-exist-policy-builder")).toBe(false);
  });

  test("types stay strict whatever a policy's tsconfig says", async () => {
    const run = await buildFiles({
      "manifest.yaml": manifestOf({ gate: "gate" }),
      ...plainPolicy("gate", "gate"),
      "gate/policy.ts": `${PLAIN_POLICY}\nexport function f(x) { return x; }\n`,
      ...HOSTILE,
    });

    expect(messages(run.report)).toEqual(["Type error TS7006: Parameter 'x' implicitly has an 'any' type"]);
  });

  test.each([
    ['import x from "OUT/secret.txt" with { type: "file" }; console.log(x);', "policy.ts"],
    ['import x from "OUT/secret.txt" with { type: "text" }; console.log(x);', "policy.ts"],
    ['const x = require("OUT/secret.txt");', "policy.ts"],
    ['const x = await import("OUT/code.ts");', "policy.ts"],
    ['export * from "OUT/code.ts";', "policy.ts"],
    ['/// <reference path="OUT/types.d.ts" />', "policy.ts"],
    ['import "./style.css" with { type: "css" };', "style.css"],
    // The bundler does not say where in a page an absolute path stands: then the fault is at policy.ts.
    ['import page from "./page.html"; console.log(page);', "p(age.html|olicy.ts)"],
    ['import { x } from "./helper.js"; console.log(x);', "helper.js"],
    ['import { x } from "#outside"; console.log(x);', "policy.ts"],
  ])("nothing outside of a policy's folder gets in: %s", async (line, file) => {
    const outside = temporaryFolder();
    writeFiles(outside, {
      "secret.txt": "secret",
      "code.ts": "export const x = 1;\n",
      "types.d.ts": "type X = 1;\n",
    });
    for (const out of [outside, `${"../".repeat(40)}${outside.slice(1)}`]) {
      const { report } = await buildFiles({
        "manifest.yaml": manifestOf({ gate: "gate" }),
        ...plainPolicy("gate", "gate"),
        "gate/policy.ts": `${line.replace("OUT", out)}\n${PLAIN_POLICY}`,
        "gate/style.css": `a { background: url("${out}/secret.txt") }\n`,
        "gate/page.html": `<img src="${out}/secret.txt">\n`,
        "gate/helper.js": `export { x } from "${out}/code.ts";\n`,
        "gate/package.json": JSON.stringify({ imports: { "#outside": `${out}/code.ts` } }),
      });

      expect(report.phase).toBe("validation");
      const about = report.problems.filter((problem) =>
        /leads out|Could not resolve|TS2307/.test(problem.message),
      );
      expect(about.map((problem) => problem.file).join()).toMatch(new RegExp(`\\bgate/${file}`));
    }
  });

  test("packages around the work folder are not the policy's", async () => {
    const cwd = temporaryFolder();
    const around = {
      "node_modules/around/package.json": '{ "name": "around", "version": "1.0.0", "exports": "./index.ts" }',
      "node_modules/around/index.ts": "export const around: number = 1;\n",
    };
    const gate = { "gate/policy.ts": `${PLAIN_POLICY}\nexport { around } from "around";\n` };
    writeFiles(cwd, {
      "manifest.yaml": manifestOf({ gate: "gate" }),
      ...plainPolicy("gate", "gate"),
      ...around,
      ...gate,
    });

    const report = await build({
      manifest: "manifest.yaml",
      output: "out",
      cwd,
      workDir: "work",
      runtime: FAKE,
    });

    expect(messages(report)).toEqual([`Cannot import "around": it leads out of the policy's folder`]);
    expect(readdirSync(cwd).toSorted()).toEqual(["gate", "manifest.yaml", "node_modules"]);
  });

  test("tests, dependencies and hidden files of a policy are not read", async () => {
    const run = await buildFiles({
      "manifest.yaml": manifestOf({ gate: "gate" }),
      ...plainPolicy("gate", "gate"),
      "gate/policy.test.ts": "this is not TypeScript",
      "gate/node_modules/yaml/index.ts": "neither is this",
      "gate/.git/policy.yaml": "nor this",
    });

    expect(run.report.error).toBeUndefined();
  });
});

describe("the output folder", () => {
  const GOOD = { "manifest.yaml": manifestOf({ gate: "gate" }), ...plainPolicy("gate", "gate") };

  test("FR-044: edge: Builder validation failure: it leaves no executable, no temporary files, and nothing of the build before", async () => {
    const run = await buildFiles(GOOD);
    writeFiles(run.out, { "mine.txt": "mine", "definitions/mine.yaml": "mine" });
    writeFileSync(join(run.cwd, "gate/policy.ts"), "export const getPolicy = 1;\n");

    const report = await build({
      manifest: "manifest.yaml",
      output: "out",
      runtime: FAKE,
      cwd: run.cwd,
      workDir: run.work,
    });

    expect(report.phase).toBe("validation");
    expect(readdirSync(run.out).toSorted()).toEqual(["definitions", "mine.txt"]);
    expect(readdirSync(join(run.out, "definitions"))).toEqual(["mine.yaml"]);
    expect(readdirSync(run.work)).toEqual([]);
  });

  test("a definition that is no longer asked for goes", async () => {
    const run = await buildFiles({ ...GOOD, ...plainPolicy("door", "door") });
    writeFileSync(join(run.cwd, "manifest.yaml"), manifestOf({ door: "door" }));

    const report = await build({ manifest: "manifest.yaml", output: "out", runtime: FAKE, cwd: run.cwd });

    expect(report.ok).toBe(true);
    expect(readdirSync(join(run.out, "definitions"))).toEqual(["door-v1.0.0.yaml"]);
  });

  test("a report that lies does not make the builder remove other files", async () => {
    const cwd = temporaryFolder();
    writeFiles(cwd, { ...GOOD, "keep.yaml": "keep" });
    const definitions = ["../keep.yaml", "definitions/../../keep.yaml", "/etc/hosts", 7];
    writeFiles(cwd, { "out/build-report.json": JSON.stringify({ artifacts: { definitions } }) });

    await build({ manifest: "nowhere.yaml", output: "out", cwd });

    expect(existsSync(join(cwd, "keep.yaml"))).toBe(true);
  });

  test("a folder that cannot be written is a failure of packaging that leaves nothing", async () => {
    const cwd = temporaryFolder();
    writeFiles(cwd, { ...GOOD, out: "a file" });
    const work = temporaryFolder();

    const report = await build({
      manifest: "manifest.yaml",
      output: "out/deeper",
      runtime: FAKE,
      cwd,
      workDir: work,
    });

    expect([report.ok, report.phase]).toEqual([false, "packaging"]);
    expect(readdirSync(work)).toEqual([]);
    expect(readFileSync(join(cwd, "out"), "utf8")).toBe("a file");
  });

  test("a file in the place of the folder is said, and stays", async () => {
    const cwd = temporaryFolder();
    writeFiles(cwd, { ...GOOD, out: "a file" });

    const report = await build({ manifest: "manifest.yaml", output: "out", runtime: FAKE, cwd });

    expect([report.ok, report.phase]).toEqual([false, "packaging"]);
    expect(report.error).toEndWith('/out": it is a file, a folder is needed');
    expect(readFileSync(join(cwd, "out"), "utf8")).toBe("a file");
  });

  test("a policy that ends the process while it is imported fails the build, which says what to look for", async () => {
    const cwd = temporaryFolder();
    writeFiles(cwd, { ...GOOD, "gate/policy.ts": `process.exit(0);\n${PLAIN_POLICY}` });

    const report = await build({ manifest: "manifest.yaml", output: "out", runtime: FAKE, cwd });

    expect([report.ok, report.phase]).toEqual([false, "compilation"]);
    expect(report.error).toEndWith(
      'something else than JSON: "" (a policy that exits, prints or never ends while it is imported does this)',
    );
    expect(existsSync(join(cwd, "out"))).toBe(false);
  });

  test("files of the same names that are someone else's are not touched", async () => {
    for (const [file, text] of Object.entries({ Dockerfile: "FROM scratch\n", "build-report.json": "{}" })) {
      const cwd = temporaryFolder();
      writeFiles(cwd, { ...GOOD, [`out/${file}`]: text });

      const report = await build({ manifest: "manifest.yaml", output: "out", runtime: FAKE, cwd });

      expect(report.error).toContain(`holds a ${file} of someone else`);
      expect(report.phase).toBe("packaging");
      expect(readFileSync(join(cwd, "out", file), "utf8")).toBe(text);
    }
  });

  test("a work folder that cannot be made is said", async () => {
    const { report } = await buildFiles({ ...GOOD, file: "" }, { workDir: "file/work" });
    expect(report.error).toStartWith('Policy discovery failed: cannot make a work folder in "file/work": ');
  });

  test("something in the executable's place is not removed", async () => {
    const cwd = temporaryFolder();
    writeFiles(cwd, { ...GOOD, "out/policy-engine/mine.txt": "mine" });

    const report = await build({ manifest: "manifest.yaml", output: "out", cwd });

    expect([report.ok, report.phase]).toEqual([false, "packaging"]);
    expect(existsSync(join(cwd, "out/policy-engine/mine.txt"))).toBe(true);
  });

  test("neither output nor work folder may be inside a policy", async () => {
    const { report } = await buildFiles(GOOD, { output: "gate/out" });
    expect(messages(report)).toEqual([`Cannot write to "gate/out": it is inside a policy's folder`]);

    const run = await buildFiles(GOOD);
    const again = await build({
      manifest: "manifest.yaml",
      output: "out",
      cwd: run.cwd,
      workDir: "gate/work",
    });
    expect(messages(again)).toEqual([`Cannot work in this folder: it is inside a policy's folder`]);
    expect(readdirSync(join(run.cwd, "gate")).toSorted()).toEqual(["policy-definition.yaml", "policy.ts"]);
  });

  test("the executable can be run by others", async () => {
    const run = await buildFiles(GOOD);
    expect(statSync(join(run.out, "policy-engine")).mode & 0o777).toBe(0o755);
  });

  test("an aborted build rejects and leaves nothing", async () => {
    const cwd = temporaryFolder();
    writeFiles(cwd, GOOD);
    mkdirSync(join(cwd, "out"));
    const work = temporaryFolder();
    for (const at of ["discovery", "validation", "generation", "compilation", "packaging"]) {
      const stop = new AbortController();
      const options = {
        manifest: "manifest.yaml",
        output: "out",
        runtime: FAKE,
        cwd,
        workDir: work,
        signal: stop.signal,
      };
      const building = build({ ...options, onPhase: (phase) => void (phase === at && stop.abort()) });

      await expect(building).rejects.toThrow("aborted");
      expect(readdirSync(work)).toEqual([]);
      expect(readdirSync(join(cwd, "out"))).toEqual([]);
    }
  });
});
