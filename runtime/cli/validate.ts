import { Command } from "commander";
import { loadEngineConfig } from "../config/load-engine-config.ts";
import { validateRoutes } from "../config/validate-routes.ts";
import type { Problem } from "../document/problem.ts";
import { type CliContext, EXIT, type Finish, paint, toJson } from "./cli-context.ts";
import { loadRegistry } from "./load-registry.ts";
import { problemsText } from "./print-problems.ts";

/** `validate`: checks the configuration as the engine would, without serving it. */
export function validateCommand(context: CliContext, finish: Finish): Command {
  return new Command("validate")
    .description("check a configuration and its routes; secrets they refer to must be there")
    .requiredOption("-c, --config <file>", "the engine's configuration, policy-engine.yaml")
    .option("--json", 'print JSON: {"valid": true, "problems": []}')
    .action(async ({ config, json = false }: { config: string; json?: boolean }) => {
      const { io } = context;
      const { problems, routes } = await findProblems(config, context);
      const valid = !problems.some(({ severity }) => severity === "error");
      if (json) io.out(toJson({ valid, problems }));
      else io.out(problemsText(problems, io) + summary(problems, routes, io));
      finish(valid ? EXIT.ok : EXIT.problems);
    });
}

async function findProblems(
  path: string,
  context: CliContext,
): Promise<{ readonly problems: readonly Problem[]; readonly routes: number }> {
  const { config, problems } = loadEngineConfig(path);
  if (config === undefined) return { problems, routes: 0 };
  const registry = await loadRegistry(context);
  const report = await validateRoutes(config.routes.path, { registry, config });
  return { problems: [...problems, ...report.problems], routes: report.routes.length };
}

function summary(problems: readonly Problem[], routes: number, style: { colours: boolean }): string {
  const errors = problems.filter(({ severity }) => severity === "error").length;
  const warnings = problems.length - errors;
  const tail = warnings === 0 ? "" : `, ${count(warnings, "warning")}`;
  if (errors > 0) return `${paint("Not valid", "red", style)}: ${count(errors, "error")}${tail}\n`;
  return `${paint("Valid", "green", style)}: ${count(routes, "route")}${tail}\n`;
}

function count(number: number, thing: string): string {
  return `${number} ${thing}${number === 1 ? "" : "s"}`;
}
