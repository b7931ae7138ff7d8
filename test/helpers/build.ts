import { mkdir, mkdtemp, readdir, rename, rm, stat } from "node:fs/promises";
import { join, resolve } from "node:path";
import { Child } from "./child.ts";

export const PROJECT = resolve(import.meta.dir, "../..");
/** What a suite that needs the executable allows for its `beforeAll`: it may have to be compiled first. */
export const BUILD_TIMEOUT_MS = 240_000;
const CACHE = join(PROJECT, ".cache/test-engine");
/** Everything an executable is made from. */
const SOURCES = ["runtime", "sdk", "builder", "templates", "test/policies", "examples/policies"];
/** An executable is over 100 MB; a test run that began before the last edit may still need the one before. */
const KEPT = 3;

const built = new Map<string, Promise<string>>();

/** The executable with the policies of test/policies, built once for each state of the sources. */
export function testEngine(): Promise<string> {
  return buildEngine(join(PROJECT, "test/policies/policy-manifest.yaml"));
}

/** Compiles a manifest of this project with `policy-builder build` and returns the path of the executable. */
export function buildEngine(manifest: string): Promise<string> {
  const known = built.get(manifest) ?? buildOnce(manifest);
  built.set(manifest, known);
  return known;
}

async function buildOnce(manifest: string): Promise<string> {
  const folder = join(CACHE, await hashSources(manifest));
  const executable = join(folder, "policy-engine");
  if (await Bun.file(executable).exists()) return executable;
  await mkdir(CACHE, { recursive: true });
  // Built aside and moved into place, so that two runs at once and one that is cut short do no harm.
  const work = await mkdtemp(join(CACHE, "build-"));
  try {
    // Not the link in node_modules: in a worktree that may lead to the engine of another one.
    const builder = join(PROJECT, "builder/bin/policy-builder.mjs");
    const child = new Child([builder, "build", "--manifest", manifest, "--output", join(work, "out")]);
    const code = await child.exited;
    if (code !== 0) throw new Error(`Cannot build the test engine: exit code ${code}\n${child.output()}`);
    await rename(join(work, "out"), folder).catch(async (error: unknown) => {
      if (!(await Bun.file(executable).exists())) throw error;
    });
  } finally {
    await rm(work, { recursive: true, force: true });
  }
  await prune();
  return executable;
}

async function hashSources(manifest: string): Promise<string> {
  const hasher = new Bun.CryptoHasher("sha256");
  const files = ["package-lock.json", "tsconfig.json", manifest];
  for (const source of SOURCES) {
    const glob = new Bun.Glob(`${source}/**/*`);
    for await (const file of glob.scan({ cwd: PROJECT, dot: true })) {
      if (!file.includes("node_modules/") && !file.endsWith(".test.ts")) files.push(file);
    }
  }
  for (const file of files.toSorted()) {
    hasher.update(`${file}\0`);
    hasher.update(await Bun.file(resolve(PROJECT, file)).bytes());
  }
  return hasher.digest("hex").slice(0, 16);
}

async function prune(): Promise<void> {
  const names = (await readdir(CACHE)).filter((name) => !name.startsWith("build-"));
  const dated = await Promise.all(
    names.map(async (name) => ({ name, time: (await stat(join(CACHE, name))).mtimeMs })),
  );
  for (const { name } of dated.toSorted((a, b) => b.time - a.time).slice(KEPT)) {
    await rm(join(CACHE, name), { recursive: true, force: true });
  }
}
