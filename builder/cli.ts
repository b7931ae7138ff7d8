import { Command, CommanderError } from "commander";
import { build } from "./build.ts";
import { refuseBuildFlag } from "./build-flags.ts";
import { Console, type Terminal } from "./console.ts";
import type { Selection } from "./discover.ts";
import { exitCodeOf } from "./phase.ts";
import { registryText } from "./registry-command.ts";
import { builderVersion } from "./registry-source.ts";
import { orderProblems } from "./report.ts";
import { counted } from "./text.ts";
import { writeTypes } from "./types-command.ts";

/** The builder was called in a way it cannot understand. */
const USAGE = 2;

/** What may stand in `--build-version` and `--git-commit`: it goes into a Dockerfile and into labels. */
const LABEL = /^[A-Za-z0-9][A-Za-z0-9._+/-]{0,127}$/;

interface BuildFlags {
  manifest?: string;
  policiesDir?: string[];
  output: string;
  json?: true;
  verbose?: true;
  workDir?: string;
  keepWorkDir?: true;
  buildFlag?: string[];
  buildVersion?: string;
  gitCommit?: string;
}

/** Runs one command line; answers the exit code. */
export async function runCli(args: readonly string[], terminal: Terminal): Promise<number> {
  let code = 0;
  const program = createProgram(terminal, (result) => {
    code = result;
  });
  try {
    await program.parseAsync([...args], { from: "user" });
    return code;
  } catch (error) {
    // Help and version are no errors; everything else of commander's is about how it was called.
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : USAGE;
    throw error;
  }
}

function createProgram(terminal: Terminal, finish: (code: number) => void): Command {
  const program = new Command("policy-builder")
    .description("Compiles the policies that a manifest names, with the engine, into one executable.")
    .version(builderVersion(), "--version")
    .exitOverride()
    .configureOutput({ writeOut: terminal.out, writeErr: terminal.err })
    .showSuggestionAfterError();
  selecting(program.command("build").description("build the executable"))
    .requiredOption("--output <dir>", "folder for the executable and what goes with it")
    .option("--json", "print one JSON report to standard output, everything else to standard error")
    .option("--verbose", "print the exact commands")
    .option("--work-dir <dir>", "folder to work in (default: the system's for temporary files)")
    .option("--keep-work-dir", "leave the work folder there")
    .option("--build-flag <flag>", "flag for bun build; may be repeated", collect)
    .option("--build-version <version>", "version of the executable (default: dev)")
    .option("--git-commit <commit>", "commit the executable is built from (default: unknown)")
    .action(async (flags: BuildFlags, command: Command) => {
      refuseUsage(command, flags);
      finish(await runBuild(flags, terminal));
    });
  selecting(program.command("types").description("write params.gen.ts beside each policy")).action(
    async (flags: BuildFlags, command: Command) => {
      refuseUsage(command, flags);
      finish(await runTypes(selectionOf(flags), terminal));
    },
  );
  selecting(program.command("registry").description("print the generated registry")).action(
    async (flags: BuildFlags, command: Command) => {
      refuseUsage(command, flags);
      finish(await runRegistry(selectionOf(flags), terminal));
    },
  );
  return program;
}

function selecting(command: Command): Command {
  return command
    .option("--manifest <file>", "manifest with the policies")
    .option("--policies-dir <dir>", "folder to find policies below; may be repeated", collect);
}

function collect(value: string, others: readonly string[] = []): string[] {
  return [...others, value];
}

function selectionOf({ manifest, policiesDir }: BuildFlags): Selection {
  return { manifest, policiesDirs: policiesDir };
}

/** Ends with a usage error when flags do not fit together. */
function refuseUsage(command: Command, flags: BuildFlags): void {
  const { manifest, policiesDir, buildFlag = [], buildVersion, gitCommit, output } = flags;
  if (manifest === undefined && policiesDir === undefined) {
    command.error("error: Cannot find policies: --manifest or --policies-dir is needed");
  }
  if (manifest !== undefined && policiesDir !== undefined) {
    command.error("error: Cannot use --manifest and --policies-dir together: one of them is needed");
  }
  if ([manifest, output, ...(policiesDir ?? [])].includes("")) {
    command.error("error: Cannot use an empty path");
  }
  for (const flag of buildFlag) {
    const refusal = refuseBuildFlag(flag);
    if (refusal !== undefined) command.error(`error: ${refusal}`);
  }
  for (const [name, value] of Object.entries({
    "--build-version": buildVersion,
    "--git-commit": gitCommit,
  })) {
    if (value === undefined || LABEL.test(value)) continue;
    const needed = 'at most 128 letters, digits, ".", "_", "+", "/" and "-" are needed';
    command.error(`error: Cannot use ${JSON.stringify(value.slice(0, 128))} as ${name}: ${needed}`);
  }
}

async function runBuild(flags: BuildFlags, terminal: Terminal): Promise<number> {
  const people = new Console(flags.json ? terminal.err : terminal.out, terminal.colours);
  const report = await build({
    ...selectionOf(flags),
    output: flags.output,
    cwd: terminal.cwd,
    signal: terminal.signal,
    workDir: flags.workDir,
    keepWorkDir: flags.keepWorkDir,
    flags: flags.buildFlag,
    version: flags.buildVersion,
    gitCommit: flags.gitCommit,
    onPhase: (phase, done) => people.phase(phase, done),
    onCommand: flags.verbose ? (line) => people.line(`  $ ${line}`) : () => undefined,
  });
  if (flags.json) terminal.out(`${JSON.stringify(report, null, 2)}\n`);
  const last = report.ok ? people : new Console(terminal.err, terminal.colours);
  last.report(report);
  return report.ok || report.phase === undefined ? 0 : exitCodeOf(report.phase);
}

async function runTypes(selection: Selection, terminal: Terminal): Promise<number> {
  const { written, same, phase, problems } = await writeTypes(selection, terminal.cwd);
  new Console(terminal.err, terminal.colours).problems(orderProblems(problems));
  for (const file of written) terminal.out(`wrote ${file}\n`);
  if (same > 0) terminal.out(`${counted(same, "file")} already up to date\n`);
  return phase === undefined ? 0 : exitCodeOf(phase);
}

async function runRegistry(selection: Selection, terminal: Terminal): Promise<number> {
  const { text, phase, problems } = await registryText(selection, terminal.cwd);
  new Console(terminal.err, terminal.colours).problems(orderProblems(problems));
  if (text !== undefined) terminal.out(text);
  return phase === undefined ? 0 : exitCodeOf(phase);
}
