import { modeOverride } from "../kernel/body-mode.ts";
import { type AnswerModes, modesOf } from "./answer-modes.ts";
import type { StepPlan } from "./route-plan.ts";

/** What of a route makes Envoy buffer, and how much. */
export interface BufferingPlan {
  readonly request: BufferedBody | null;
  readonly response: BufferedBody | null;
  /** `limits.bodyBytes` as it holds for the route. */
  readonly bodyBytes: number;
}

/** One direction's body. */
export interface BufferedBody {
  /** Place in the list of the step that stops for it; steps behind it run when it is there. */
  readonly step: number;
  /** Places of all steps that read it. */
  readonly readBy: readonly number[];
  /**
   * When Envoy is asked for it: where a body follows the headers, always, or only if the condition of one of the steps
   * that read it is true.
   */
  readonly when: "body follows" | "condition is true";
  /** What the answer to the headers asks Envoy for then. */
  readonly answer: AnswerModes;
}

/** Finds the steps that stop for a body. */
export function bufferingOf(
  steps: readonly StepPlan[],
  { bodyBytes, wantsResponse }: { readonly bodyBytes: number; readonly wantsResponse: boolean },
): BufferingPlan {
  const body = (direction: "request" | "response", answer: AnswerModes): BufferedBody | null => {
    const readers = readersOf(steps, direction);
    const [step] = readers;
    if (step === undefined) return null;
    const always = steps.some(
      ({ place, condition, conditionReads }) =>
        readers.includes(place) && (condition === null || conditionReads[direction]),
    );
    return { step, readBy: readers, when: always ? "body follows" : "condition is true", answer };
  };
  const first = modeOverride({ requestBody: true, response: wantsResponse, responseBody: false });
  const second = modeOverride({ requestBody: false, response: true, responseBody: true });
  return { request: body("request", modesOf(first)), response: body("response", modesOf(second)), bodyBytes };
}

/** Places of the steps that read a body, in the order in which they run. */
function readersOf(steps: readonly StepPlan[], direction: "request" | "response"): number[] {
  const need = direction === "request" ? "requestBody" : "responseBody";
  return steps
    .filter((step) => step[direction] !== null && step[need] !== "none")
    .sort((a, b) => a[direction]! - b[direction]!)
    .map(({ place }) => place);
}
