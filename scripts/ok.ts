/** Runs every static check and says which of them failed. Changes nothing. */
import { cp, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";

const PROJECT = resolve(import.meta.dir, "..");
const BIN = join(PROJECT, "node_modules/.bin");
/** Where policies keep the types that `policy-builder types` writes. */
const MANIFEST = "examples/policy-manifest.yaml";

interface Check {
  readonly name: string;
  /** Rejects, or gives a complaint, where something is wrong. */
  run(work: string): Promise<string | undefined>;
}

const CHECKS: readonly Check[] = [
  { name: "format and lint", run: () => command(["biome", "check", "--error-on-warnings"]) },
  { name: "types", run: () => command(["bun", "check"]) },
  {
    name: "floating promises",
    run: () =>
      command([
        ...["oxlint", "--type-aware", "-A", "all"],
        ...["-D", "typescript/no-floating-promises", "-D", "typescript/no-misused-promises"],
      ]),
  },
  { name: "boundaries and documents", run: () => command(["bun", "test", "./test/static/"]) },
  { name: "generated protobuf code", run: compareProtobuf },
  { name: "generated parameter types", run: compareParams },
];

async function compareProtobuf(work: string): Promise<string | undefined> {
  const complaint = await command(["buf", "generate", "--output", work]);
  if (complaint !== undefined) return complaint;
  return compareFiles("**/*.ts", { ours: join(PROJECT, "runtime/gen"), fresh: join(work, "runtime/gen") });
}

async function compareParams(work: string): Promise<string | undefined> {
  const fresh = join(work, "examples");
  const ours = join(PROJECT, "examples");
  await cp(ours, fresh, { recursive: true });
  const complaint = await command(["policy-builder", "types", "--manifest", join(work, MANIFEST)]);
  return complaint ?? compareFiles("policies/**/params.gen.ts", { ours, fresh });
}

/** Names the files that are not the same in both folders. */
async function compareFiles(
  pattern: string,
  { ours, fresh }: { ours: string; fresh: string },
): Promise<string | undefined> {
  const glob = new Bun.Glob(pattern);
  const list = async (cwd: string) => new Set(await Array.fromAsync(glob.scan({ cwd })));
  const [here, there] = [await list(ours), await list(fresh)];
  if (there.size === 0) return `Nothing was generated for ${pattern}`;
  const stale: string[] = [];
  for (const file of new Set([...here, ...there])) {
    const same =
      here.has(file) &&
      there.has(file) &&
      (await Bun.file(join(ours, file)).text()) === (await Bun.file(join(fresh, file)).text());
    if (!same) stale.push(file);
  }
  if (stale.length === 0) return undefined;
  return `Out of date in ${ours}: run make generate, then commit\n  ${stale.toSorted().join("\n  ")}`;
}

async function command([name = "", ...args]: readonly string[]): Promise<string | undefined> {
  const child = Bun.spawn([join(BIN, name), ...args], {
    cwd: PROJECT,
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  const output = await Promise.all([child.stdout.text(), child.stderr.text()]);
  return (await child.exited) === 0 ? undefined : output.join("\n").trim();
}

let failed = 0;
for (const check of CHECKS) {
  const work = await mkdtemp(join(tmpdir(), "policy-engine-ok-"));
  try {
    const complaint = await check.run(work);
    console.log(`${complaint === undefined ? "ok    " : "FAILED"} ${check.name}`);
    if (complaint !== undefined) {
      failed += 1;
      console.log(complaint.replace(/^/gm, "  "));
    }
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}
if (failed > 0) process.exitCode = 1;
