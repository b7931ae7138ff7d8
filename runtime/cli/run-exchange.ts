// One exchange on the chain of a route, without Envoy, for `run`.
import type { Chain, Step } from "../chain/chain.ts";
import { compileChain } from "../chain/compile.ts";
import { type Denial, denialBody } from "../chain/denial.ts";
import { bodySettings } from "../chain/exchange-bodies.ts";
import { Exchange } from "../chain/executor.ts";
import type { HeaderTable } from "../chain/header-table.ts";
import { messageBudget } from "../chain/message-budget.ts";
import type { ReceivedRequest, ReceivedResponse } from "../chain/messages.ts";
import type { EngineConfig } from "../config/engine-config.ts";
import type { PlannedRoute } from "../config/plan-policies.ts";
import { handlingOf } from "../config/plan-policies.ts";
import { createEngineMetrics } from "../observability/engine-metrics.ts";
import type { EngineLogger } from "../observability/log.ts";
import { createInstance } from "../policy/create-instance.ts";
import type { PolicyInstance } from "../policy/instance.ts";
import type { BuildInfo } from "../policy/registry.ts";
import { fromWire } from "./message-state.ts";
import { type StepRecord, StepRecorder } from "./step-recorder.ts";

/** A message as upstream or client get it. */
export interface SentMessage {
  readonly method?: string;
  readonly path?: string;
  readonly authority?: string;
  readonly scheme?: string;
  readonly status?: number;
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly body: Uint8Array;
}

/** A step that did not run, and why. */
export interface LeftOut {
  readonly place: number;
  readonly name: string;
  readonly version: string;
  readonly phase: "request" | "response";
  readonly reason: "ended" | "unbufferable" | "condition" | "failed_open";
}

/** What became of the exchange. */
export interface RunReport {
  readonly outcome: "passed" | "denied" | "failed";
  /** Of a denial or failure; empty when passed. */
  readonly reason: string;
  readonly steps: readonly StepRecord[];
  readonly leftOut: readonly LeftOut[];
  /** Null when nothing goes to the upstream. */
  readonly upstreamRequest: SentMessage | null;
  /** Null when the upstream's response is not known. */
  readonly clientResponse: SentMessage | null;
  readonly dynamicMetadata: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
}

export interface RunSettings {
  readonly plan: PlannedRoute;
  readonly config: EngineConfig;
  readonly build: BuildInfo;
  readonly log: EngineLogger;
  readonly request: { readonly received: ReceivedRequest; readonly content: Uint8Array };
  readonly response: { readonly received: ReceivedResponse; readonly content: Uint8Array } | undefined;
}

/** Creates the route's policies, runs the exchange and closes them. Rejects if one cannot be created. */
export async function runExchange(settings: RunSettings): Promise<RunReport> {
  const recorder = new StepRecorder();
  const instances: PolicyInstance[] = [];
  try {
    const places = new Map<number, number>();
    for (const { index, reference, policy, params } of settings.plan.policies) {
      if (!reference.enabled) continue;
      const { config, build, log, plan } = settings;
      const instance = await createInstance(policy, {
        ...{ route: plan.resource.route, params, build, log },
        engineMetadata: config.metadata,
        timeoutMs: config.limits.createTimeoutMs,
      });
      places.set(instances.length, index + 1);
      instances.push(recorder.watch(instance, index + 1));
    }
    const chain = chainOf(settings, instances);
    return await new Run(settings, { chain, recorder, places }).report();
  } finally {
    await Promise.all(instances.map((instance) => instance.close()));
  }
}

function chainOf({ plan, config }: RunSettings, instances: readonly PolicyInstance[]): Chain {
  const { route, responseOrder, metadata, limits } = plan.resource;
  const enabled = plan.policies.filter(({ reference }) => reference.enabled);
  return compileChain({
    route,
    responseOrder,
    bodyBytes: limits.bodyBytes,
    steps: instances.map((instance, index) => ({ instance, ...handlingOf(enabled[index]!) })),
    metadata: { ...config.metadata, ...metadata },
    metrics: createEngineMetrics(),
  });
}

class Run {
  readonly #settings: RunSettings;
  readonly #recorder: StepRecorder;
  readonly #places: ReadonlyMap<number, number>;
  readonly #exchange: Exchange;

  constructor(
    settings: RunSettings,
    parts: { chain: Chain; recorder: StepRecorder; places: ReadonlyMap<number, number> },
  ) {
    const { config, log, request } = settings;
    this.#settings = settings;
    this.#recorder = parts.recorder;
    this.#places = parts.places;
    const bodies = bodySettings(config.limits);
    const budget = messageBudget(config.extProc.messageTimeoutMs);
    this.#exchange = new Exchange({
      ...{ chain: parts.chain, request: request.received, bodies, budget, log },
      style: config.denials,
    });
    this.#recorder.follow(this.#exchange);
  }

  async report(): Promise<RunReport> {
    const { request, response } = this.#settings;
    const exchange = this.#exchange;
    await this.#run("request", { content: request.content, begin: () => exchange.runRequest() });
    const passed = exchange.denial === undefined;
    const upstreamRequest = passed ? this.#upstreamRequest() : null;
    if (passed) exchange.requestSent();
    if (passed && response !== undefined) {
      const { received, content } = response;
      await this.#run("response", { content, begin: () => exchange.runResponse(received) });
    }
    const clientResponse = this.#clientResponse();
    const leftOut = this.#leftOut(upstreamRequest !== null && response !== undefined);
    exchange.end("answered");
    const { denial, dynamicMetadata } = exchange;
    return {
      outcome: denial?.outcome ?? "passed",
      reason: denial?.reason ?? "",
      steps: this.#recorder.steps,
      ...{ leftOut, upstreamRequest, clientResponse, dynamicMetadata },
    };
  }

  /** Runs a direction as Envoy would drive it: each of its messages has its own time. */
  async #run(
    direction: "request" | "response",
    { content, begin }: { content: Uint8Array; begin: () => void | Promise<void> },
  ): Promise<void> {
    this.#exchange.messageArrived(performance.now());
    await begin();
    if (this.#exchange.suspended[direction]) {
      this.#recorder.bodyCame();
      this.#exchange.messageArrived(performance.now());
      await this.#exchange.resume(direction, content);
    }
    this.#recorder.settle();
  }

  #upstreamRequest(): SentMessage {
    const { method, path, authority, scheme, headers, newContent } = this.#exchange.request;
    const body = newContent ?? this.#settings.request.content;
    const pseudo = { method: fromWire(method), path: fromWire(path), authority: fromWire(authority) };
    return { ...pseudo, scheme, headers: entriesOf(headers), body };
  }

  #clientResponse(): SentMessage | null {
    const { denial, response, request } = this.#exchange;
    if (denial !== undefined) return answerOf(denial, request.original.method);
    if (response === undefined) return null;
    const { content = new Uint8Array(0) } = this.#settings.response ?? {};
    const body = response.bodiless ? new Uint8Array(0) : (response.newContent ?? content);
    return { status: response.status, headers: entriesOf(response.headers), body };
  }

  #whyNot(step: Step): LeftOut["reason"] | undefined {
    if (this.#exchange.decided(step) === false) return "condition";
    return this.#exchange.failedOpen(step) ? "failed_open" : undefined;
  }

  /** The steps of both directions that have no record. */
  #leftOut(responded: boolean): LeftOut[] {
    const { chain, denial } = this.#exchange;
    const reason = denial === undefined ? "unbufferable" : "ended";
    const ran = (place: number, phase: string) =>
      this.#recorder.steps.some(
        (step) => step.place === place && (step.phase === "request") === (phase === "request"),
      );
    const phases =
      responded || reason === "ended" ? (["request", "response"] as const) : (["request"] as const);
    return phases.flatMap((phase) => {
      const hook = phase === "request" ? "onRequest" : "onResponse";
      return chain[phase]
        .filter(({ index, policy }) => policy[hook] !== undefined && !ran(this.#places.get(index)!, phase))
        .map((step): LeftOut => {
          const place = this.#places.get(step.index)!;
          return {
            place,
            name: step.name,
            version: step.version,
            phase,
            reason: this.#whyNot(step) ?? reason,
          };
        });
    });
  }
}

function answerOf(denial: Denial, method: string): SentMessage {
  const { status, headers } = denial.response;
  return { status, headers: entriesOf(headers), body: denialBody(denial, method) };
}

function entriesOf(headers: HeaderTable): SentMessage["headers"] {
  return [...headers.entries()];
}
