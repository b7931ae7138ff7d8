// Whether a step runs, of one exchange: by its condition, which is evaluated once and pinned for the phase and the
// denials after, by the body that it needs, and by whether it has failed before.
import type { RequestContext, ResponseContext } from "@policy-engine/sdk";
import type { Step, StepCondition } from "./chain.ts";
import { RequestHookContext, ResponseHookContext } from "./contexts.ts";
import { engineDenial, newErrorId } from "./denial.ts";
import type { BodyReason, Direction, ExchangeBodies } from "./exchange-bodies.ts";
import type { HookContext, HookHost, HookRunner } from "./hook-runner.ts";
import type { BodyNeed } from "./message-body.ts";
import type { RequestMessage, ResponseMessage } from "./messages.ts";

/** Whether a step runs now, waits for its body, is left out, or cannot run: then there is a denial. */
export type Admission = "run" | "suspend" | "skip" | "stop";

/** The exchange, as far as it decides. */
export interface AdmissionHost extends HookHost {
  /** Ends the chain for a body's sake. */
  noteRefusal(direction: Direction, reason: BodyReason): void;
}

/** A condition's value, or the id under which the log has why there is none. */
type Decision =
  | { readonly value: boolean; readonly errorId?: undefined }
  | { readonly value?: undefined; readonly errorId: string };

/** See the head of the file. */
export class StepAdmission {
  readonly #host: AdmissionHost;
  readonly #bodies: ExchangeBodies;
  readonly #hooks: HookRunner;
  #pinned: Map<Step, boolean> | undefined;

  constructor(host: AdmissionHost, parts: { bodies: ExchangeBodies; hooks: HookRunner }) {
    this.#host = host;
    this.#bodies = parts.bodies;
    this.#hooks = parts.hooks;
  }

  /** What a step's condition came to; undefined where it has none, or was not evaluated yet. */
  decided(step: Step): boolean | undefined {
    return this.#pinned?.get(step);
  }

  admit(step: Step, direction: Direction): Admission {
    if (this.#hooks.failedOpen(step)) return "skip";
    const { condition } = step;
    if (condition !== undefined) {
      const admission = this.#decide(step, condition, direction);
      if (admission !== "run") return admission;
    }
    const need = direction === "request" ? step.requestBody : step.responseBody;
    const runs = direction === "response" || step.policy.onRequest !== undefined;
    return need === "none" || !runs ? "run" : this.#awaitBody(step, direction, { need, by: "hook" });
  }

  /** Whether a step that applies to denials runs on this one: its condition has decided, or decides. */
  dresses(
    step: Step,
    messages: { request: RequestMessage; response: ResponseMessage; denied: boolean },
  ): boolean {
    if (this.#hooks.failedOpen(step)) return false;
    if (step.condition === undefined) return true;
    const decided = this.decided(step);
    if (decided !== undefined) return decided;
    // The denial came before the body: whether the policy would have run is not known.
    if (step.condition.reads.requestBody && !messages.request.body.arrived) return false;
    const decision = this.#evaluate(step, new ResponseHookContext(this.#host, step, messages, "buffered"));
    return decision.value === true;
  }

  /** Evaluates a step's condition where it is not pinned yet; one that looks at a body waits for it. */
  #decide(step: Step, { reads }: StepCondition, direction: Direction): Admission {
    const decided = this.decided(step);
    if (decided !== undefined) return decided ? "run" : "skip";
    if (direction === "request" ? reads.requestBody : reads.responseBody) {
      const admission = this.#awaitBody(step, direction, { need: "buffered", by: "condition" });
      // Left out for its body's sake: its other phase is left out too.
      if (admission === "skip") this.#pin(step, false);
      if (admission !== "run") return admission;
    }
    const { value = false, errorId } = this.#evaluate(step, this.#conditionContext(step, direction));
    this.#pin(step, value);
    if (value) return "run";
    if (errorId === undefined) return "skip";
    if (step.conditionError === "deny") return this.#deny(step, errorId);
    this.#hooks.tellLeftOut(step);
    return "skip";
  }

  #deny(step: Step, errorId: string): "stop" {
    const { style } = this.#host;
    this.#host.denial = engineDenial(500, "condition_failed", { errorId, decider: step, style });
    return "stop";
  }

  #pin(step: Step, value: boolean): void {
    this.#pinned ??= new Map();
    this.#pinned.set(step, value);
  }

  #conditionContext(step: Step, direction: Direction): HookContext {
    const { request, response } = this.#host;
    if (direction === "request") return new RequestHookContext(this.#host, step, request, "buffered");
    const messages = { request, response: response!, denied: false };
    return new ResponseHookContext(this.#host, step, messages, "buffered");
  }

  /** Never throws: what fails is counted and logged. */
  #evaluate(step: Step, context: RequestContext | ResponseContext): Decision {
    try {
      return { value: step.condition?.evaluate(context) ?? true };
    } catch (cause) {
      return { errorId: this.#noteFailure(step, cause) };
    }
  }

  #noteFailure(step: Step, cause: unknown): string {
    const errorId = newErrorId();
    step.metrics.failure("condition").inc();
    step.log.repeated("warn", "Condition failed", {
      request_id: this.#host.requestId,
      reason: "condition_failed",
      error_id: errorId,
      condition_error: step.conditionError,
      error: cause,
    });
    return errorId;
  }

  #awaitBody(
    step: Step,
    direction: Direction,
    { need, by }: { need: BodyNeed; by: "condition" | "hook" },
  ): Admission {
    const { request, response } = this.#host;
    const state = this.#bodies.prepare(direction, direction === "request" ? request : response!, need);
    if (state === "suspend") return "suspend";
    if (state === "ready") return "run";
    if (state === "body_unbufferable" && step.onUnbufferable === "skip") return "skip";
    if (by === "condition" && step.conditionError === "deny" && typeof state !== "string") {
      this.#pin(step, false);
      return this.#deny(step, this.#noteFailure(step, state));
    }
    if (typeof state === "string") this.#host.noteRefusal(direction, state);
    else this.#hooks.fail(step, direction, { cause: state });
    return this.#host.denial === undefined ? "skip" : "stop";
  }
}
