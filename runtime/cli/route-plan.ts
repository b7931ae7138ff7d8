import type { EngineConfig } from "../config/engine-config.ts";
import { parseDuration } from "../config/quantity.ts";
import { type RoutesReport, validateRoutes } from "../config/validate-routes.ts";
import type { Problem } from "../document/problem.ts";
import { modeOverride } from "../kernel/body-mode.ts";
import { createLogger } from "../observability/log.ts";
import { createInstance } from "../policy/create-instance.ts";
import type { BodyRequirement } from "../policy/definition.ts";
import type { PolicyRegistry } from "../policy/registry.ts";
import { type AnswerModes, modesOf } from "./answer-modes.ts";
import { type BufferingPlan, bufferingOf } from "./buffering-plan.ts";
import type { CliContext } from "./cli-context.ts";

/** What the engine does with the requests of a route. */
export interface RoutePlan {
  readonly route: string;
  /** `chain` runs policies, `empty` passes, `unavailable` answers 503, `unknown` is not configured. */
  readonly state: "chain" | "empty" | "unavailable" | "unknown";
  readonly responseOrder: "listed" | "reversed";
  /** Every policy of the list, in its order. */
  readonly steps: readonly StepPlan[];
  /** What the answer to the headers of a request with a body asks Envoy to send; null where no policy is asked. */
  readonly firstAnswer: AnswerModes | null;
  /** What can make Envoy hold a message until its body is there; null where no policy is asked. */
  readonly buffering: BufferingPlan | null;
  readonly problems: readonly Problem[];
}

export interface StepPlan {
  /** Place in the list, from 1. */
  readonly place: number;
  readonly name: string;
  readonly version: string;
  readonly enabled: boolean;
  /** Place among the request hooks, from 1; null where there is none. */
  readonly request: number | null;
  /** Place among the response hooks, in response order, from 1; null where there is none. */
  readonly response: number | null;
  readonly appliesToDenials: boolean;
  /** The condition under which it runs; null where it always does. */
  readonly condition: string | null;
  /** Which bodies the condition itself reads: those are waited for whatever it comes to. */
  readonly conditionReads: { readonly request: boolean; readonly response: boolean };
  /** The bodies that Envoy buffers for it: in the request, and in the response. */
  readonly requestBody: BodyRequirement;
  readonly responseBody: BodyRequirement;
  /** What happens where such a body cannot be buffered. */
  readonly onUnbufferable: "deny" | "skip";
  /** What its failure does: a 500, or it is left out. */
  readonly failureMode: "closed" | "open";
  /** How long an asynchronous hook of it may take, in milliseconds; null: what is left of the message's time. */
  readonly timeoutMs: number | null;
  /** Why nothing is known of its phases. */
  readonly error?: string;
}

type PlannedPolicy = NonNullable<RoutesReport["routes"][number]["plan"]>["policies"][number];

interface PlanSettings {
  readonly config: EngineConfig;
  readonly registry: PolicyRegistry;
  readonly context: CliContext;
}

/** Works out what a route does, offline. */
export async function planOf(route: string, { config, registry, context }: PlanSettings): Promise<RoutePlan> {
  const report = await validateRoutes(config.routes.path, { registry, config });
  const merged = report.routes.find((each) => each.route === route);
  const problems = problemsOf(route, report);
  const none = { responseOrder: "listed", steps: [], firstAnswer: null, buffering: null } as const;
  const nothing = { route, problems, ...none };
  if (merged === undefined) return { ...nothing, state: problems.length > 0 ? "unavailable" : "unknown" };
  if (merged.plan === undefined) return { ...nothing, state: "unavailable" };
  const { resource, policies } = merged.plan;
  const { responseOrder } = resource;
  const phases = await Promise.all(policies.map((policy) => phasesOf(policy, { route, config, context })));
  const steps = number(policies, phases, responseOrder);
  const broken = steps.some((step) => step.error !== undefined);
  const enabled = steps.some((step) => step.enabled);
  const state = broken ? "unavailable" : enabled ? "chain" : "empty";
  const wantsResponse = steps.some((step) => step.response !== null);
  if (state !== "chain") return { ...nothing, state, responseOrder, steps };
  const { bodyBytes = config.limits.bodyBytes } = resource.limits;
  const buffering = bufferingOf(steps, { bodyBytes, wantsResponse });
  const narrow = modeOverride({ requestBody: false, response: wantsResponse, responseBody: false });
  const firstAnswer = buffering.request?.answer ?? modesOf(narrow);
  return { ...nothing, state, responseOrder, steps, firstAnswer, buffering };
}

interface Phases {
  readonly request: boolean;
  readonly response: boolean;
  readonly error?: string;
}

/** What the definition says, or else what an instance has: then it has to be made. */
async function phasesOf(
  { policy, params, reference }: PlannedPolicy,
  { route, config, context }: { route: string; config: EngineConfig; context: CliContext },
): Promise<Phases> {
  if (!reference.enabled) return { request: false, response: false };
  const { supportsRequestPhase: request, supportsResponsePhase: response } = policy.definition;
  if (request !== undefined && response !== undefined) return { request, response };
  const log = createLogger({ level: "error", format: "text", write: () => {} });
  try {
    const instance = await createInstance(policy, {
      route,
      params,
      engineMetadata: config.metadata,
      build: context.build,
      log,
      timeoutMs: config.limits.createTimeoutMs,
    });
    const { onRequest, onResponse } = instance.policy;
    await instance.close();
    return { request: onRequest !== undefined, response: onResponse !== undefined };
  } catch (error) {
    return { request: false, response: false, error: error instanceof Error ? error.message : String(error) };
  }
}

function number(
  policies: readonly PlannedPolicy[],
  phases: readonly Phases[],
  responseOrder: "listed" | "reversed",
): StepPlan[] {
  const responses = phases.filter((phase) => phase.response).length;
  let request = 0;
  let response = 0;
  return policies.map(({ policy, reference, condition }, index) => {
    const { name, version, appliesToDenials, requiresRequestBody, requiresResponseBody } = policy.definition;
    const phase = phases[index]!;
    const reads = condition?.reads;
    const runs = phase.request && reads?.response !== true;
    const looks = runs || (reference.enabled && reads?.requestBody === true);
    if (looks) request++;
    if (phase.response) response++;
    const place = responseOrder === "listed" ? response : responses - response + 1;
    return {
      place: index + 1,
      name,
      version,
      enabled: reference.enabled,
      request: looks ? request : null,
      response: phase.response ? place : null,
      appliesToDenials,
      condition: reference.executionCondition ?? null,
      conditionReads: { request: reads?.requestBody === true, response: reads?.responseBody === true },
      requestBody: needOf(runs ? requiresRequestBody : "none", looks && reads?.requestBody === true),
      responseBody: needOf(
        phase.response ? requiresResponseBody : "none",
        phase.response && reads?.responseBody === true,
      ),
      onUnbufferable: reference.onUnbufferable ?? "deny",
      failureMode: reference.failureMode ?? policy.definition.failureMode,
      timeoutMs: parseDuration(reference.timeout) ?? null,
      ...(phase.error === undefined ? {} : { error: phase.error }),
    };
  });
}

/** A condition that reads a body needs it decoded, if nobody else needs it. */
function needOf(own: BodyRequirement, conditionReads: boolean): BodyRequirement {
  return own === "none" && conditionReads ? "buffered" : own;
}

/** The problems of a route's entries, and those that are nobody's: they may be why it is not there. */
export function problemsOf(route: string, { problems, routes }: RoutesReport): Problem[] {
  const own = routes.map((merged) => ({ route: merged.route, ...pick(merged.report("", "")) }));
  return problems.filter(({ file, pointer }) => {
    const entry = /^\/routes\/\d+/.exec(pointer)?.[0];
    const owner = own.find((each) => each.file === file && each.pointer === entry);
    return owner === undefined || owner.route === route;
  });
}

function pick({ file, pointer }: Problem): Pick<Problem, "file" | "pointer"> {
  return { file, pointer };
}
