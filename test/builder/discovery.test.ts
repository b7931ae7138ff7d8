// What discovery refuses to follow or to read, through the builder's library. No case gets as far as compiling.
import { afterAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdirSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { build } from "../../builder/build.ts";
import { POLICY_BYTES, POLICY_FILES, SEARCH_DEPTH } from "../../builder/limits.ts";
import type { BuildReport } from "../../builder/report.ts";
import { manifestOf, plainPolicy, removeFolders, temporaryFolder, writeFiles } from "./folders.ts";

afterAll(removeFolders);
setDefaultTimeout(120_000);

function folderWith(files: Readonly<Record<string, string | Uint8Array>>): string {
  const cwd = temporaryFolder();
  writeFiles(cwd, files);
  return cwd;
}

async function buildIn(cwd: string): Promise<BuildReport> {
  const report = await build({ manifest: "manifest.yaml", output: "out", cwd });
  if (report.ok) throw new Error("the build succeeded");
  return report;
}

function places(report: BuildReport): string[] {
  return report.problems.map(({ file, message }) => `${file}: ${message}`);
}

const GATE = { "manifest.yaml": manifestOf({ gate: "gate" }), ...plainPolicy("gate", "gate") };

describe("hostile policy folders", () => {
  test("links that lead out, nowhere or to folders are refused, each at its place", async () => {
    const cwd = folderWith({ ...GATE, "secret.txt": "secret", "gate/data/inside.txt": "inside" });
    symlinkSync("../secret.txt", join(cwd, "gate/out.txt"));
    symlinkSync("/etc/passwd", join(cwd, "gate/passwd.txt"));
    symlinkSync("nowhere", join(cwd, "gate/nowhere.txt"));
    symlinkSync("..", join(cwd, "gate/parent"));
    symlinkSync("data", join(cwd, "gate/folder"));
    symlinkSync("data/inside.txt", join(cwd, "gate/fine.txt"));

    const report = await buildIn(cwd);

    const out = "it leads out of the policy's folder, a copy of the file is needed";
    expect(places(report)).toEqual([
      "gate/folder: Cannot follow this symbolic link: it leads to a folder, only links to files are supported",
      "gate/nowhere.txt: Cannot follow this symbolic link: it leads nowhere",
      `gate/out.txt: Cannot follow this symbolic link: ${out}`,
      `gate/parent: Cannot follow this symbolic link: ${out}`,
      `gate/passwd.txt: Cannot follow this symbolic link: ${out}`,
    ]);
    expect(report.phase).toBe("discovery");
  });

  test("a folder whose name begins like the policy's is outside of it", async () => {
    const cwd = folderWith({ ...GATE, "gate-other/secret.txt": "secret" });
    symlinkSync("../gate-other/secret.txt", join(cwd, "gate/out.txt"));

    expect(places(await buildIn(cwd))[0]).toStartWith("gate/out.txt: Cannot follow this symbolic link");
  });

  test("pipes are not read", async () => {
    const cwd = folderWith(GATE);
    Bun.spawnSync(["mkfifo", join(cwd, "gate/pipe.ts")]);

    expect(places(await buildIn(cwd))).toEqual([
      "gate/pipe.ts: Cannot use this file: it is neither a file nor a folder",
    ]);
  });

  test("too many bytes, files or folders inside each other are refused", async () => {
    const bytes = folderWith({ ...GATE, "gate/big.bin": new Uint8Array(POLICY_BYTES + 1) });
    const many = Object.fromEntries(
      Array.from({ length: POLICY_FILES + 1 }, (_, index) => [`gate/${index}.txt`, ""]),
    );
    const files = folderWith({ ...GATE, ...many });
    const folders = folderWith(GATE);
    mkdirSync(join(folders, "gate", ...Array.from({ length: 40 }, () => "d")), { recursive: true });

    const limit = "gate: Cannot read the policy's folder: at most 1000 files and 32 MiB are allowed";
    expect(places(await buildIn(bytes))).toEqual([limit]);
    expect(places(await buildIn(files))).toEqual([limit]);
    expect(places(await buildIn(folders))[0]).toContain("at most 16 may be inside each other");
  });

  test("FR-036: a policy's folder may be a link itself", async () => {
    const cwd = folderWith({
      "manifest.yaml": manifestOf({ other: "link" }),
      ...plainPolicy("real", "gate"),
    });
    symlinkSync("real", join(cwd, "link"));

    expect(places(await buildIn(cwd))).toEqual([
      'manifest.yaml: Cannot build name "other": the definition in "link" says "gate"',
    ]);
  });
});

describe("hostile manifests", () => {
  test("a manifest that is a folder, missing, or huge", async () => {
    const cwd = folderWith({ "folder/x": "" });
    const messageFor = async (manifest: string): Promise<string | undefined> => {
      const report = await build({ manifest, output: "out", cwd });
      return report.problems[0]?.message;
    };

    expect(await messageFor("folder")).toBe(
      'Cannot read the manifest "folder": it is a folder, a file is needed',
    );
    expect(await messageFor("gone.yaml")).toBe('Cannot read the manifest "gone.yaml": there is no such file');
    writeFiles(cwd, { "huge.yaml": `version: v1 #${"x".repeat(2_000_000)}\n` });
    expect(await messageFor("huge.yaml")).toBe(
      'Cannot read the manifest "huge.yaml": it has 2000014 bytes, at most 1048576 are allowed',
    );
    writeFiles(cwd, { "deep.yaml": `version: v1\npolicies: ${"[".repeat(5000)}${"]".repeat(5000)}\n` });
    expect(await messageFor("deep.yaml")).toMatch(/nested|deep/i);
  });

  test("more policies than a build may have are refused before any is read", async () => {
    const entries = Array.from({ length: 1001 }, () => "  - { name: a, uri: b }\n").join("");
    const cwd = folderWith({ "manifest.yaml": `version: v1\npolicies:\n${entries}` });

    expect(places(await buildIn(cwd))).toEqual([
      "manifest.yaml: Cannot build 1001 policies: at most 1000 are allowed",
    ]);
  });
});

describe("--policies-dir", () => {
  test("a folder without policies is a warning", async () => {
    const runtime = join(import.meta.dir, "fake-runtime");
    const report = await build({
      policiesDirs: ["."],
      output: "out",
      cwd: folderWith({ "x/y.txt": "" }),
      runtime,
    });

    expect([report.ok, places(report)]).toEqual([
      true,
      ['.: Found no policy below ".": the engine is built without policies'],
    ]);
  });

  test("links are not followed and depth is bounded, and both are said", async () => {
    const deep = Array.from({ length: SEARCH_DEPTH + 2 }, () => "d").join("/");
    const cwd = folderWith({
      ...plainPolicy("elsewhere/gate", "gate"),
      ...plainPolicy(`mine/${deep}`, "deep"),
    });
    symlinkSync("../elsewhere", join(cwd, "mine/link"));

    const report = await build({
      policiesDirs: ["mine"],
      output: "out",
      cwd,
      runtime: join(import.meta.dir, "fake-runtime"),
    });
    expect(report.policies).toEqual([]);
    expect(report.problems.map(({ severity, message }) => `${severity}: ${message}`)).toEqual([
      `warning: Did not look deeper than ${SEARCH_DEPTH} folders below a --policies-dir`,
      "warning: Did not follow this symbolic link: policies are found in folders only",
    ]);
  });
});
