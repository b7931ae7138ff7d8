import { Command } from "commander";
import type { EngineConfig } from "../config/engine-config.ts";
import { loadEngineConfig } from "../config/load-engine-config.ts";
import { formatDuration, formatSize } from "../config/quantity.ts";
import type { AnswerModes } from "./answer-modes.ts";
import type { BufferedBody, BufferingPlan } from "./buffering-plan.ts";
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
  for (const step of plan.steps) lines.push(`  ${stepText(step, plan)}`);
  if (plan.steps.some((step) => step.response !== null)) {
    lines.push(`Response order: ${plan.responseOrder}`);
  }
  lines.push(...bufferingText(plan.buffering), ...answersText(plan));
  return `${lines.join("\n")}\n${problemsText(plan.problems, style)}`;
}

function bufferingText(buffering: BufferingPlan | null): string[] {
  if (buffering === null) return [];
  const { request, response, bodyBytes } = buffering;
  const line = (direction: string, body: BufferedBody | null): string[] => {
    if (body === null) return [];
    const readers = body.readBy.map((place) => `step ${place}`).join(", ");
    const first = body.readBy.length === 1 ? "" : `; step ${body.step} is the first to stop for it`;
    const condition = body.when === "condition is true" ? " and a condition of these is true" : "";
    return [
      `  the body of a ${direction}, where one follows its headers${condition}: read by ${readers}${first}`,
    ];
  };
  const bodies = [...line("request", request), ...line("response", response)];
  if (bodies.length === 0) return [];
  return [`Envoy is made to buffer, at most ${formatSize(bodyBytes)} of each:`, ...bodies];
}

function answersText({ firstAnswer, buffering }: RoutePlan): string[] {
  if (firstAnswer === null) return [];
  const { request = null, response = null } = buffering ?? {};
  const headers = request === null ? "request headers" : "the headers of a request with a body";
  return [
    `The answer to ${headers} asks Envoy for:`,
    ...modesText(firstAnswer),
    ...(response === null
      ? []
      : [
          "The answer to the headers of a response with a body asks Envoy for:",
          ...modesText(response.answer),
        ]),
  ];
}

function modesText(modes: AnswerModes): string[] {
  return Object.entries(modes).map(([part, mode]) => `  ${words(part).padEnd(18)}${mode}`);
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

function stepText(step: StepPlan, { steps, buffering }: RoutePlan): string {
  const head = `${step.place}. ${step.name} ${step.version}`;
  if (!step.enabled) return `${head}: skipped, "enabled" is false`;
  if (step.error !== undefined) return `${head}: refused, ${step.error}`;
  const phases = [];
  for (const direction of ["request", "response"] as const) {
    const turn = step[direction];
    if (turn === null) continue;
    const stop = steps.find(({ place }) => place === buffering?.[direction]?.step)?.[direction];
    const waits = typeof stop === "number" && stop < turn ? ", after the body" : "";
    phases.push(`${direction} headers${BODIES[step[`${direction}Body`]]} (${ordinal(turn)}${waits})`);
  }
  if (step.appliesToDenials) phases.push("denials of the engine");
  const needsBody = step.requestBody !== "none" || step.responseBody !== "none";
  const condition = step.condition === null ? "" : `, if ${step.condition}`;
  const facts = [needsBody ? unbufferableText(step) : "", failureText(step)];
  return `${head}: runs on ${phases.join(", ") || "nothing"}${condition}${facts.join("")}`;
}

const BODIES: Readonly<Record<StepPlan["requestBody"], string>> = {
  none: "",
  buffered: " and body",
  raw: " and body as it came",
  streamed: " and streamed body",
};

function unbufferableText({ requestBody, responseBody, onUnbufferable }: StepPlan): string {
  if (onUnbufferable === "skip") return "; left out where the body cannot be buffered";
  const statuses = [...(requestBody === "none" ? [] : ["501"]), ...(responseBody === "none" ? [] : ["502"])];
  return `; ${statuses.join(" or ")} where the body cannot be buffered`;
}

function failureText({ failureMode, timeoutMs }: StepPlan): string {
  const time = timeoutMs === null ? "" : `; at most ${formatDuration(timeoutMs)} if asynchronous`;
  return failureMode === "open" ? `${time}; left out where it fails` : time;
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
