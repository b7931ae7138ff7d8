// What the conditions of one exchange came to: each is evaluated once and pinned for the phase and the denials after.
import type { RequestContext, ResponseContext } from "@policy-engine/sdk";
import type { Step } from "./chain.ts";
import type { ExchangeFacts } from "./contexts.ts";
import { newErrorId } from "./denial.ts";

/** A condition's value, or the id under which the log has why there is none. */
export type Decision =
  | { readonly value: boolean; readonly errorId?: undefined }
  | { readonly errorId: string };

/** See the head of the file. */
export class StepConditions {
  readonly #facts: ExchangeFacts;
  #pinned: Map<Step, boolean> | undefined;

  constructor(facts: ExchangeFacts) {
    this.#facts = facts;
  }

  /** What a step's condition came to; undefined where it has none, or was not evaluated yet. */
  decided(step: Step): boolean | undefined {
    return this.#pinned?.get(step);
  }

  pin(step: Step, value: boolean): boolean {
    this.#pinned ??= new Map();
    this.#pinned.set(step, value);
    return value;
  }

  /** Evaluates a condition without pinning it. Never throws: what fails is counted and logged. */
  evaluate(step: Step, context: RequestContext | ResponseContext): Decision {
    try {
      return { value: step.condition?.evaluate(context) ?? true };
    } catch (cause) {
      const errorId = newErrorId();
      step.metrics.failure("condition").inc();
      const fields = { request_id: this.#facts.requestId, error_id: errorId, error: cause };
      step.log.repeated("warn", "Condition failed", { ...fields, conditionError: step.conditionError });
      return { errorId };
    }
  }
}
