import { join, resolve } from "node:path";
import { Child } from "../../test/helpers/child.ts";
import { CACHE } from "../peers/build.ts";

const PROJECT = resolve(import.meta.dir, "../..");

/** Compiles the engine with the policies of the benchmark, as a user would, and returns the executable's path. */
export async function buildEngine(): Promise<string> {
  const output = join(CACHE, "engine");
  const child = new Child([
    ...[join(PROJECT, "builder/bin/policy-builder.mjs"), "build", "--output", output],
    ...["--manifest", join(import.meta.dir, "policy-manifest.yaml")],
  ]);
  if ((await child.exited) !== 0) throw new Error(`Cannot compile the engine\n${child.output()}`);
  return join(output, "policy-engine");
}
