import { Command } from "commander";
import type { EngineConfig } from "../config/engine-config.ts";
import { loadEngineConfig } from "../config/load-engine-config.ts";
import type { PlannedRoute } from "../config/plan-policies.ts";
import { validateRoutes } from "../config/validate-routes.ts";
import type { Problem } from "../document/problem.ts";
import { createLogger } from "../observability/log.ts";
import { type CliContext, EXIT, type Finish, toJson } from "./cli-context.ts";
import { loadRegistry } from "./load-registry.ts";
import { readRequestFile, readResponseFile } from "./message-file.ts";
import { printProblems } from "./print-problems.ts";
import { problemsOf } from "./route-plan.ts";
import { type RunReport, runExchange } from "./run-exchange.ts";
import { runJson, runText } from "./run-report.ts";

interface RunFlags {
  readonly config: string;
  readonly route: string;
  readonly request: string;
  readonly response?: string;
  readonly json?: boolean;
}

/** `run`: what the policies of a route do with one request, without Envoy. */
export function runCommand(context: CliContext, finish: Finish): Command {
  return new Command("run")
    .description("run a route's policies on a request from a file, and print what each saw and changed")
    .requiredOption("-c, --config <file>", "the engine's configuration, policy-engine.yaml")
    .requiredOption("-r, --route <name>", "the key of the route")
    .requiredOption(
      "--request <file>",
      "the request: an HTTP/1.1 message, or JSON {method, path, headers, body}",
    )
    .option(
      "--response <file>",
      "the upstream's response: an HTTP/1.1 message, or JSON {status, headers, body}",
    )
    .option("--json", "print JSON")
    .action(async (flags: RunFlags) => finish(await run(flags, context)));
}

async function run(flags: RunFlags, context: CliContext): Promise<number> {
  const { io, build } = context;
  const { config, problems } = loadEngineConfig(flags.config);
  printProblems(problems, io);
  if (config === undefined) return EXIT.problems;
  const route = await planOf(flags.route, config, context);
  const messages = await readMessages(flags, config);
  const found = [...(route.problems ?? []), ...(messages.problems ?? [])];
  printProblems(found, io);
  if (route.missing !== undefined) io.err(`policy-engine: ${route.missing}\n`);
  if (route.plan === undefined || messages.problems !== undefined) return EXIT.problems;
  const log = createLogger({ level: config.log.level, format: "text", write: (text) => io.err(text) });
  let report: RunReport;
  try {
    report = await runExchange({ plan: route.plan, config, build, log, ...messages });
  } catch (error) {
    io.err(`policy-engine: ${error instanceof Error ? error.message : String(error)}\n`);
    return EXIT.cannotStart;
  }
  io.out(flags.json === true ? toJson(runJson(flags.route, report)) : runText(flags.route, report, io));
  return report.outcome === "passed" || report.outcome === "denied" ? EXIT.ok : EXIT.problems;
}

type Planned =
  | { readonly plan: PlannedRoute; readonly problems?: undefined; readonly missing?: undefined }
  | {
      readonly plan?: undefined;
      readonly problems: readonly Problem[];
      readonly missing?: string | undefined;
    };

async function planOf(name: string, config: EngineConfig, context: CliContext): Promise<Planned> {
  const registry = await loadRegistry(context);
  const report = await validateRoutes(config.routes.path, { registry, config });
  const merged = report.routes.find(({ route }) => route === name);
  if (merged?.plan !== undefined) return { plan: merged.plan };
  const problems = problemsOf(name, report);
  if (merged !== undefined || problems.length > 0) return { problems };
  const what = `Cannot run route ${JSON.stringify(name)}: it is not configured`;
  return { problems, missing: `${what}, a route of ${config.routes.path} is needed` };
}

type Messages =
  | (Pick<Parameters<typeof runExchange>[0], "request" | "response"> & { readonly problems?: undefined })
  | { readonly problems: readonly Problem[] };

async function readMessages(flags: RunFlags, { limits }: EngineConfig): Promise<Messages> {
  const { bodyBytes } = limits;
  const request = await readRequestFile(flags.request, bodyBytes);
  const method = request.problems === undefined ? request.value.received.method : "";
  const response =
    flags.response === undefined ? undefined : await readResponseFile(flags.response, { method, bodyBytes });
  if (request.problems !== undefined || response?.problems !== undefined) {
    return { problems: [...(request.problems ?? []), ...(response?.problems ?? [])] };
  }
  return { request: request.value, response: response?.value };
}
