import { mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import type { BuildInfo } from "../runtime/policy/registry.ts";
import { importFaults } from "./code-fault.ts";
import { parseBundle } from "./diagnostics.ts";
import { MAIN_MODULE } from "./generate.ts";
import { importsOf } from "./imports.ts";
import { BUNDLE_MS } from "./limits.ts";
import { type BuildProblem, fileProblem, PhaseFailure } from "./phase.ts";
import { bunCommand, run } from "./run.ts";
import type { ValidPolicy } from "./validate.ts";
import { verifyBinary } from "./verify-binary.ts";
import type { Workspace } from "./workspace.ts";

/** The name of the executable; it is part of the executable too. */
export const BINARY = "policy-engine";

/**
 * How the engine is compiled: faster to start through bytecode; with a source map, as the stack of an error names the
 * policy that it is of, and its author's lines; no macros; not swayed by files in the folder it
 * is started from; no code from strings, whatever a policy or a dependency tries; while it starts, with machine code
 * only of what runs very often, which saves time and a tenth of the idle memory.
 */
const FLAGS = [
  "--compile",
  "--bytecode",
  "--format=esm",
  "--minify",
  "--sourcemap",
  "--no-macros",
  "--no-compile-autoload-dotenv",
  "--no-compile-autoload-bunfig",
  "--no-compile-autoload-tsconfig",
  "--no-compile-autoload-package-json",
  "--compile-jit-policy=30",
  "--compile-exec-argv=--disallow-code-generation-from-strings=strict",
];

/**
 * The threads of the engine. Each is a program of its own beside the main one: the engine starts it by the file's
 * name, from the top of the executable.
 */
const THREADS = { "yaml-worker.ts": "@policy-engine/runtime/document/yaml-worker.ts" };

export interface CompileOptions {
  readonly workspace: Workspace;
  readonly info: BuildInfo;
  readonly flags: readonly string[];
  readonly signal: AbortSignal;
  /** Told the exact commands. */
  readonly verbose: (line: string) => void;
}

/** The fourth phase: compiles, looks at what went in, runs the executable and compares what it says it is. */
export async function compile(
  policies: readonly ValidPolicy[],
  options: CompileOptions,
): Promise<{ binary: string; modules: number; warnings: readonly BuildProblem[] }> {
  const { workspace, flags, signal } = options;
  await mkdir(workspace.path("out"), { recursive: true });
  for (const [file, module] of Object.entries(THREADS)) {
    await workspace.write(file, `import ${JSON.stringify(module)};\n`);
  }
  const binary = join("out", BINARY);
  const metafile = workspace.path("metafile.json");
  const command = bunCommand(
    "build",
    ...FLAGS,
    ...flags,
    `--metafile=${metafile}`,
    `--outfile=${binary}`,
    ...[MAIN_MODULE, ...Object.keys(THREADS)].map((file) => `./${file}`),
  );
  options.verbose(`cd ${workspace.dir} && ${command.join(" ")}`);
  const result = await run(command, { cwd: workspace.dir, timeoutMs: BUNDLE_MS, signal });
  if (result.code !== 0) {
    const diagnostics = parseBundle(`${result.stderr}\n${result.stdout}`);
    const problems = diagnostics.map(({ file, line, column, message }) => ({
      ...fileProblem(file, file, { message: `Cannot compile: ${message}` }),
      line,
      column,
    }));
    const reason = result.code < 0 ? `it took longer than ${BUNDLE_MS / 1000} s` : lastLine(result.stderr);
    throw new PhaseFailure(`Compilation failed: ${reason}`, problems);
  }
  const edges = importsOf(JSON.parse(await readFile(metafile, "utf8")), workspace.dir);
  const subjects = policies.map(({ subject }) => subject);
  const faults = await importFaults(edges, { subjects, workspace });
  if (faults.length > 0) {
    const problems = faults.map(({ folder, path, ...fault }) => {
      const policy = policies.find(({ subject }) => subject.folder === folder);
      const file = join(policy?.found.shown ?? folder, path);
      return { ...fileProblem(policy?.label ?? folder, file, { message: fault.message }), ...fault };
    });
    throw new PhaseFailure(
      "Compilation failed: the executable holds files that are not the policies'",
      problems,
    );
  }
  const path = workspace.path(binary);
  const warnings = await verifyBinary(path, { ...options, subjects });
  return { binary: path, modules: new Set(edges.map(({ to }) => to)).size, warnings };
}

function lastLine(text: string): string {
  return text.trim().split("\n").at(-1) || "the compiler said nothing";
}
