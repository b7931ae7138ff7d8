import { mkdir } from "node:fs/promises";
import type { BuildInfo } from "../runtime/policy/registry.ts";
import { VERIFY_MS } from "./limits.ts";
import { type BuildProblem, fileProblem, PhaseFailure } from "./phase.ts";
import type { RegistrySubject } from "./registry-source.ts";
import { run } from "./run.ts";
import { quoted } from "./text.ts";
import type { Workspace } from "./workspace.ts";

export interface VerifyOptions {
  readonly workspace: Workspace;
  readonly subjects: readonly RegistrySubject[];
  readonly info: BuildInfo;
  readonly signal: AbortSignal;
}

/** What an author looks for: no policy is named here, as the executable could not say which one it was. */
const AT_IMPORT = " (a policy that exits, prints or never ends while it is imported does this)";

/**
 * Runs the executable in an empty folder and compares what it says of itself with what was built. A policy that
 * the executable cannot load is a warning: it fails alone, with its name.
 */
export async function verifyBinary(binary: string, options: VerifyOptions): Promise<BuildProblem[]> {
  const { subjects, info } = options;
  const { policies } = await ask(binary, "policies", options);
  if (!Array.isArray(policies)) throw failure('"policies" printed no list');
  const listed = new Map<string, Record<string, unknown>>();
  for (const each of policies) {
    if (isRecord(each)) listed.set(`${each.name}:${each.version}`, each);
  }
  const warnings: BuildProblem[] = [];
  for (const { name, version, integrity, sourcePath } of subjects) {
    const label = `${name}:${version}`;
    const found = listed.get(label);
    if (found === undefined) throw failure(`it does not have ${quoted(label)}`);
    if (found.integrity !== integrity) throw failure(`it has other files of ${quoted(label)}`);
    if (found.error !== undefined) {
      const message = `This policy is in the executable but cannot be loaded: ${String(found.error)}`;
      warnings.push(fileProblem(label, sourcePath, { message, severity: "warning" }));
    }
    listed.delete(label);
  }
  const [extra] = listed.keys();
  if (extra !== undefined) throw failure(`it has ${quoted(extra)}, which was not asked for`);
  const facts = await ask(binary, "version", options);
  for (const [key, value] of Object.entries(info)) {
    if (facts[key] !== value) throw failure(`its ${key} is ${quoted(facts[key])}, not ${quoted(value)}`);
  }
  return warnings;
}

async function ask(
  binary: string,
  command: string,
  options: VerifyOptions,
): Promise<Readonly<Record<string, unknown>>> {
  const { workspace, signal } = options;
  const cwd = workspace.path("empty");
  await mkdir(cwd, { recursive: true });
  const { code, stdout, stderr } = await run([binary, command, "--json"], {
    cwd,
    timeoutMs: VERIFY_MS,
    signal,
  });
  if (code < 0) throw failure(`"${command} --json" did not end within ${VERIFY_MS / 1000} s${AT_IMPORT}`);
  if (code !== 0) throw failure(`"${command} --json" ended with ${code}: ${stderr.trim().slice(0, 500)}`);
  let value: unknown;
  try {
    // A policy may print when it is imported; what the command prints begins on a line of its own.
    value = JSON.parse(stdout.slice(stdout.lastIndexOf("\n{") + 1));
  } catch {
    const printed = quoted(stdout.slice(0, 80));
    throw failure(`"${command} --json" printed something else than JSON: ${printed}${AT_IMPORT}`);
  }
  if (!isRecord(value)) throw failure(`"${command} --json" printed no object`);
  return value;
}

function failure(reason: string): PhaseFailure {
  return new PhaseFailure(`Compilation failed: the executable is not what was asked for: ${reason}`);
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
