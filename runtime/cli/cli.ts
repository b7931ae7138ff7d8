import { Command, CommanderError } from "commander";
import { type CliContext, EXIT, type Finish } from "./cli-context.ts";
import { envoyConfigCommand } from "./envoy-config-command.ts";
import { explainCommand } from "./explain.ts";
import { policiesCommand } from "./policies.ts";
import { runCommand } from "./run.ts";
import { serveCommand } from "./serve.ts";
import { validateCommand } from "./validate.ts";
import { versionCommand } from "./version.ts";

const EXIT_CODES = `
Exit codes:
  0  done
  1  problems found
  2  wrong usage
  3  the engine cannot start`;

/**
 * Runs the command line `args` (without the program's name).
 * @returns The exit code; never rejects for what a user can cause.
 */
export async function runCli(args: readonly string[], context: CliContext): Promise<number> {
  let exitCode: number = EXIT.ok;
  const program = createProgram(context, (code) => {
    exitCode = code;
  });
  try {
    refuseUnknownCommand(args, program);
    await program.parseAsync([...args], { from: "user" });
    return exitCode;
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
  }
}

function createProgram(context: CliContext, finish: Finish): Command {
  const { io, build } = context;
  const program = new Command("policy-engine");
  const output = {
    writeOut: (text: string): void => io.out(text),
    writeErr: (text: string): void => io.err(text),
  };
  program
    .description("An Envoy external processor with the policies that were compiled into it.")
    .version(`policy-engine ${build.version}`, "-V, --version", "print the version")
    .helpOption("-h, --help", "print this help")
    .addHelpText("after", EXIT_CODES)
    .exitOverride()
    .configureOutput(output)
    .enablePositionalOptions();
  const commands = [
    serveCommand(context, finish),
    validateCommand(context, finish),
    explainCommand(context, finish),
    runCommand(context, finish),
    policiesCommand(context, finish),
    envoyConfigCommand(context, finish),
    versionCommand(context, finish),
  ];
  for (const [index, command] of commands.entries()) {
    command
      .exitOverride()
      .configureOutput(output)
      .helpOption("-h, --help", "print this help")
      .allowExcessArguments(false);
    program.addCommand(command, { isDefault: index === 0 });
  }
  return program;
}

/** Without this, a mistyped command would be taken for an argument of `serve`. */
function refuseUnknownCommand(args: readonly string[], program: Command): void {
  const [first] = args;
  if (first === undefined || first.startsWith("-")) return;
  const names = ["help", ...program.commands.map((command) => command.name())];
  if (names.includes(first)) return;
  program.error(`error: unknown command ${JSON.stringify(first)}; there are ${names.toSorted().join(", ")}`);
}
