import { Command } from "commander";
import type { EngineConfig } from "../config/engine-config.ts";
import { loadEngineConfig } from "../config/load-engine-config.ts";
import { type CliContext, EXIT, type Finish, paint, toJson } from "./cli-context.ts";
import { loadRegistry } from "./load-registry.ts";
import { printProblems, problemsText } from "./print-problems.ts";
import { planOf, type RoutePlan, type StepPlan } from "./route-plan.ts";

interface ExplainFlags {
  readonly config: string;
  readonly route: string;
  readonly json?: boolean;
}

/** `explain`: what happens to the requests of a route. */
export function explainCommand(context: CliContext, finish: Finish): Command {
  return new Command("explain")
    .description("print what runs when for a route, and what Envoy is asked for")
    .requiredOption("-c, --config <file>", "the engine's configuration, policy-engine.yaml")
    .requiredOption("-r, --route <name>", "the key of the route")
    .option("--json", "print JSON")
    .action(async (flags: ExplainFlags) => finish(await explain(flags, context)));
}

async function explain({ config: path, route, json }: ExplainFlags, context: CliContext): Promise<number> {
  const { io } = context;
  const { config, problems } = loadEngineConfig(path);
  if (config === undefined) {
    printProblems(problems, io);
    return EXIT.problems;
  }
  const plan = await planOf(route, { config, registry: await loadRegistry(context), context });
  io.out(json === true ? toJson({ ...plan, outcome: outcome(plan, config) }) : text(plan, config, io));
  return plan.state === "chain" || plan.state === "empty" ? EXIT.ok : EXIT.problems;
}

function text(plan: RoutePlan, config: EngineConfig, style: { colours: boolean }): string {
  const title = paint(`Route ${JSON.stringify(plan.route)}`, "bold", style);
  const lines = [`${title}: ${outcome(plan, config)}`];
  for (const step of plan.steps) lines.push(`  ${stepText(step)}`);
  if (plan.steps.some((step) => step.response !== null)) {
    lines.push(`Response order: ${plan.responseOrder}`);
  }
  if (plan.firstAnswer !== null) {
    lines.push("The answer to request headers asks Envoy for:");
    for (const [part, mode] of Object.entries(plan.firstAnswer)) {
      lines.push(`  ${words(part).padEnd(18)}${mode}`);
    }
  }
  return `${lines.join("\n")}\n${problemsText(plan.problems, style)}`;
}

function outcome({ state }: RoutePlan, { onUnknownRoute }: EngineConfig): string {
  switch (state) {
    case "chain":
      return "its policies decide";
    case "empty":
      return "requests pass unchanged, no policy is enabled";
    case "unavailable":
      return "refused with errors; requests are answered with 503 unless an earlier configuration serves on";
    case "unknown":
      return onUnknownRoute === "allow"
        ? "not configured; requests pass unchanged (onUnknownRoute: allow)"
        : "not configured; requests are answered with 503 (onUnknownRoute: deny)";
  }
}

function stepText(step: StepPlan): string {
  const head = `${step.place}. ${step.name} ${step.version}`;
  if (!step.enabled) return `${head}: skipped, "enabled" is false`;
  if (step.error !== undefined) return `${head}: refused, ${step.error}`;
  const phases = [];
  if (step.request !== null) phases.push(`request headers (${ordinal(step.request)})`);
  if (step.response !== null) phases.push(`response headers (${ordinal(step.response)})`);
  if (step.appliesToDenials) phases.push("denials of the engine");
  return `${head}: runs on ${phases.join(", ") || "nothing"}`;
}

function ordinal(place: number): string {
  const ending =
    place % 100 >= 11 && place % 100 <= 13 ? "th" : (["th", "st", "nd", "rd"][place % 10] ?? "th");
  return `${place}${ending}`;
}

/** `requestHeaders` as `request headers`. */
function words(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);
}
