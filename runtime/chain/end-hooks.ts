// Who wants to hear of an exchange's end, and telling them: once, in list order, each whose hook had started.
import type { Outcome } from "@policy-engine/sdk";
import type { Step } from "./chain.ts";
import { EndHookContext, type ExchangeFacts } from "./contexts.ts";
import { isThenable } from "./thenable.ts";

/** How an exchange ended. */
export interface ExchangeEnd {
  readonly outcome: Outcome;
  readonly reason: string;
}

/** See the head of the file. */
export class EndHooks {
  readonly #started = new Set<Step>();

  /** Notes that a hook of the step runs. */
  note(step: Step): void {
    this.#started.add(step);
  }

  /** Never throws: a hook that fails is counted and logged. */
  run(facts: ExchangeFacts, steps: readonly Step[], end: ExchangeEnd): void {
    for (const step of steps) {
      if (!this.#started.has(step)) continue;
      try {
        const result: unknown = step.policy.onEnd?.(new EndHookContext(facts, step, end));
        // The compiler lets an asynchronous function pass for this hook; nobody else would hear of its failure.
        if (isThenable(result)) void watch(facts, step, result);
      } catch (cause) {
        fail(facts, step, cause);
      }
    }
  }
}

async function watch(facts: ExchangeFacts, step: Step, pending: PromiseLike<unknown>): Promise<void> {
  try {
    await pending;
  } catch (cause) {
    fail(facts, step, cause);
  }
}

function fail(facts: ExchangeFacts, step: Step, cause: unknown): void {
  step.metrics.failure("on_end").inc();
  step.log.repeated("error", "Policy failed in onEnd", { request_id: facts.requestId, error: cause });
}
