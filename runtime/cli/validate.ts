import { Command } from "commander";
import type { EngineConfig } from "../config/engine-config.ts";
import { loadEngineConfig } from "../config/load-engine-config.ts";
import { readText } from "../config/read-text.ts";
import { validateRoutes } from "../config/validate-routes.ts";
import { envoyWarnings } from "../config/warnings-envoy.ts";
import { compareProblems, type Problem } from "../document/problem.ts";
import { parseYaml } from "../document/yaml-document.ts";
import { DEFAULT_YAML_LIMITS } from "../document/yaml-value.ts";
import { type CliContext, EXIT, type Finish, paint, toJson } from "./cli-context.ts";
import { problemAt } from "./file-message.ts";
import { loadRegistry } from "./load-registry.ts";
import { problemsText } from "./print-problems.ts";
import { tlsProblems } from "./tls-problems.ts";

interface ValidateFlags {
  readonly config: string;
  readonly envoy?: string;
  readonly strict?: boolean;
  readonly json?: boolean;
}

/** `validate`: checks the configuration as the engine would, without serving it. */
export function validateCommand(context: CliContext, finish: Finish): Command {
  return new Command("validate")
    .description("check a configuration and its routes; secrets they refer to must be there")
    .requiredOption("-c, --config <file>", "the engine's configuration, policy-engine.yaml")
    .option("--envoy <file>", "also warn about Envoy's bootstrap configuration, in YAML or JSON")
    .option("--strict", "end with exit code 1 also for warnings")
    .option("--json", 'print JSON: {"valid": true, "problems": []}')
    .action(async (flags: ValidateFlags) => {
      const { io } = context;
      const { problems, routes } = await findProblems(flags, context);
      const valid = !problems.some(({ severity }) => severity === "error");
      if (flags.json === true) io.out(toJson({ valid, problems }));
      else io.out(problemsText(problems, io) + summary(problems, routes, io));
      const refused = flags.strict === true ? problems.length > 0 : !valid;
      finish(refused ? EXIT.problems : EXIT.ok);
    });
}

interface Found {
  readonly problems: readonly Problem[];
  readonly routes: number;
}

async function findProblems({ config: path, envoy }: ValidateFlags, context: CliContext): Promise<Found> {
  const loaded = loadEngineConfig(path);
  const { config, problems } = loaded;
  if (config === undefined) return { problems, routes: 0 };
  const registry = await loadRegistry(context);
  const report = await validateRoutes(config.routes.path, { registry, config });
  const found = [...problems, ...(await tlsProblems(loaded)), ...report.problems];
  const keys = new Set(report.routes.map(({ route }) => route));
  if (envoy === undefined) return { problems: found, routes: keys.size };
  // Envoy's own configuration says how long it waits, in place of what is usual.
  const certain = found.filter(({ code }) => code !== "body-wait-above-idle-timeout");
  return { problems: [...certain, ...(await envoyProblems(envoy, config, keys))], routes: keys.size };
}

async function envoyProblems(
  file: string,
  config: EngineConfig,
  routes: ReadonlySet<string>,
): Promise<Problem[]> {
  const read = await readText(file, DEFAULT_YAML_LIMITS.bytes);
  if ("reason" in read) {
    return [problemAt(file, 1, `Cannot read Envoy's configuration ${JSON.stringify(file)}: ${read.reason}`)];
  }
  const document = parseYaml(read.text, file);
  if (document.problems.length > 0) return document.problems;
  return envoyWarnings(document, { config, routes }).sort(compareProblems);
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
