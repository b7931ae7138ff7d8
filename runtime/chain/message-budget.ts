/** How long the steps that one message of Envoy sets going may take, in milliseconds from its arrival. */
export interface MessageBudget {
  /** For the steps. */
  readonly stepsMs: number;
  /** For what policies do about a denial, which may come of the steps' time being over. */
  readonly denialMs: number;
}

/** Envoy gives up at the end of its timeout: what is left of it is for the answer's way there. */
export const STEPS_SHARE = 0.9;
const DENIAL_SHARE = 0.95;

/** No bound: nobody waits for an answer. */
export const NO_BUDGET: MessageBudget = {
  stepsMs: Number.POSITIVE_INFINITY,
  denialMs: Number.POSITIVE_INFINITY,
};

/** The budget for Envoy's `message_timeout`. */
export function messageBudget(messageTimeoutMs: number): MessageBudget {
  return { stepsMs: messageTimeoutMs * STEPS_SHARE, denialMs: messageTimeoutMs * DENIAL_SHARE };
}
