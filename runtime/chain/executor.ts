// One HTTP exchange on its way through its chain: request steps in list order, response steps in response order,
// each direction with a cursor. At a step that needs a body which is not there yet the direction is suspended, and
// goes on from the same step when the body has come. Whether a step runs is decided in step-admission.ts, and how its
// hook is run stands in hook-runner.ts.
import type { Outcome } from "@policy-engine/sdk";
import type { EngineLogger } from "../observability/log.ts";
import type { Chain, Step } from "./chain.ts";
import { RequestHookContext, ResponseHookContext } from "./contexts.ts";
import {
  type Denial,
  type DenialStyle,
  engineDenial,
  newErrorId,
  PLAIN_DENIALS,
  type ReasonCode,
} from "./denial.ts";
import {
  BODY_STATUS,
  type BodyReason,
  type BodySettings,
  DEFAULT_BODIES,
  type Direction,
  ExchangeBodies,
} from "./exchange-bodies.ts";
import { HookRunner } from "./hook-runner.ts";
import { type MessageBudget, NO_BUDGET } from "./message-budget.ts";
import {
  type DynamicMetadata,
  type ReceivedRequest,
  type ReceivedResponse,
  RequestMessage,
  ResponseMessage,
} from "./messages.ts";
import { requestIdOf } from "./request-id.ts";
import { type AdmissionHost, StepAdmission } from "./step-admission.ts";

/** What an exchange begins with. */
export interface ExchangeSettings {
  readonly chain: Chain;
  /** The request, as far as Envoy sent it. */
  readonly request: ReceivedRequest;
  /** Default: 10 MiB a body, and no bound for all together. */
  readonly bodies?: BodySettings;
  /** The time for each message. Default: no bound. */
  readonly budget?: MessageBudget | undefined;
  /** How denials look. Default: text. */
  readonly style?: DenialStyle | undefined;
  readonly log: EngineLogger;
}

/** See the head of the file. The caller runs the phases, sends what came out, and ends it once. */
export class Exchange implements AdmissionHost {
  readonly chain: Chain;
  readonly route: string;
  readonly request: RequestMessage;
  /** Set when the response begins. */
  response: ResponseMessage | undefined;
  /** Set when a policy or a fault ended the chain; nothing runs after it but what applies to denials. */
  denial: Denial | undefined;
  metadata: ReadonlyMap<string, unknown>;
  /** What policies want Envoy to keep, without a prototype as its keys are the policies'. */
  readonly dynamicMetadata: DynamicMetadata = Object.create(null);
  readonly style: DenialStyle;
  readonly #log: EngineLogger;
  readonly #hooks: HookRunner;
  readonly #bodies: ExchangeBodies;
  readonly #admission: StepAdmission;
  #requestCursor = 0;
  #responseCursor = 0;
  /** The walk of hooks over a denial, while it waits. */
  #dressing: Promise<void> | undefined;
  #requestId: string | undefined;
  #ended = false;

  constructor(settings: ExchangeSettings) {
    const { chain, request, bodies = DEFAULT_BODIES, budget = NO_BUDGET, style = PLAIN_DENIALS } = settings;
    this.chain = chain;
    this.#bodies = new ExchangeBodies(bodies, chain.bodyBytes);
    this.route = chain.route;
    this.request = new RequestMessage(request);
    this.metadata = chain.metadata;
    this.style = style;
    this.#log = settings.log;
    this.#hooks = new HookRunner(this, budget);
    this.#admission = new StepAdmission(this, { bodies: this.#bodies, hooks: this.#hooks });
  }

  /** Envoy's `x-request-id`, or one of our own where that is missing or unfit for a log. */
  get requestId(): string {
    this.#requestId ??= requestIdOf(this.request.original.headers.get("x-request-id"));
    return this.#requestId;
  }

  /** Where the next step waits for a body. */
  get suspended(): Readonly<Record<Direction, boolean>> {
    return this.#bodies.suspended;
  }

  /** Whether every request step has run. */
  get requestDone(): boolean {
    return this.#requestCursor === this.chain.request.length;
  }

  /** What a step's condition came to; undefined where it has none, or was not evaluated yet. */
  decided(step: Step): boolean | undefined {
    return this.#admission.decided(step);
  }

  /** Whether a step failed and was left out, as its failure mode says. */
  failedOpen(step: Step): boolean {
    return this.#hooks.failedOpen(step);
  }

  /** Starts the time for a message whose steps are run next; `performance.now()` of its arrival. */
  messageArrived(at: number): void {
    this.#hooks.messageArrived(at);
  }

  /** Runs the request steps. Look at `denial`, `suspended` and the message's edits afterwards. */
  runRequest(): void | Promise<void> {
    const { request: steps } = this.chain;
    while (this.#requestCursor < steps.length && this.#goesOn()) {
      const step = steps[this.#requestCursor]!;
      const admission = this.#admission.admit(step, "request");
      if (admission === "suspend") return undefined;
      if (admission === "stop") break;
      // A step whose condition looks at the request's body may have nothing else to do here.
      if (admission === "skip" || step.policy.onRequest === undefined) {
        this.#requestCursor++;
        continue;
      }
      if (this.#outOfTime(step)) break;
      const context = new RequestHookContext(this, step, this.request);
      const pending = this.#hooks.run(step, { phase: "request", context });
      if (pending !== undefined) {
        return pending.then(() => {
          this.#stepOver();
          return this.runRequest();
        });
      }
      this.#stepOver();
    }
    return this.#runOnDenial();
  }

  /** Runs the response steps. Look at `denial`, `suspended` and the message's edits afterwards. */
  runResponse(received: ReceivedResponse): void | Promise<void> {
    this.response = new ResponseMessage(received);
    return this.#continueResponse(this.response);
  }

  /**
   * Takes the body that a direction waits for, or that there is none, and goes on from the step that needs it.
   * The bytes are counted until the exchange ends.
   */
  resume(direction: Direction, content: Uint8Array): void | Promise<void> {
    const message = this.#message(direction);
    const reason = this.#bodies.arrive(direction, message, content);
    if (reason !== undefined) return this.refuseBody(direction, reason);
    return direction === "request" ? this.runRequest() : this.#continueResponse(this.response!);
  }

  /** Whether this is content of a message that was said to have none, which a step has looked at as empty. */
  wasUnannounced(direction: Direction, content: Uint8Array): boolean {
    const need = direction === "request" ? "requestBody" : "responseBody";
    const looked = this.chain[direction].some(
      (step) => step[need] !== "none" || step.condition?.reads[need] === true,
    );
    if (content.length === 0 || !looked) return false;
    return !this.#message(direction).hasBody;
  }

  /** Whether policies changed a message since Envoy was last told. */
  changesLeft(direction: Direction): boolean {
    const message = this.#message(direction);
    return message.newContent !== undefined || message.edits().length > 0;
  }

  /** Lets go of the request's body when it was sent on and no step will look at it again. */
  requestSent(): void {
    if (this.chain.keepsRequestBody) return;
    this.request.body.drop();
    this.#bodies.release("request");
  }

  /** Ends the chain by a fault that is not a policy's; a denial that was there before stands. */
  refuse(status: number, reason: ReasonCode, message: string): void | Promise<void> {
    const errorId = newErrorId();
    const fields = { request_id: this.requestId, route: this.route, reason, error_id: errorId };
    this.#log.repeated("error", message, fields);
    this.#end(status, reason, { errorId });
    return this.#runOnDenial();
  }

  /** Ends the chain for what the client or the upstream did about a body; it can do so often, so no error is logged. */
  refuseBody(direction: Direction, reason: BodyReason): void | Promise<void> {
    this.noteRefusal(direction, reason);
    return this.#runOnDenial();
  }

  /** Ends the exchange: after the last answer, or because Envoy went away. Only the first call counts. */
  end(how: "answered" | "cancelled"): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#bodies.release("request");
    this.#bodies.release("response");
    this.#hooks.giveUp();
    const outcome: Outcome = how === "cancelled" ? "cancelled" : (this.denial?.outcome ?? "passed");
    this.#hooks.end(this.chain.steps, { outcome, reason: this.denial?.reason ?? "" });
  }

  /** Lets go of the bodies, behind the end: whoever holds a context holds the exchange, and nobody counts them now. */
  dropBodies(): void {
    this.request.body.drop();
    this.response?.body.drop();
  }

  #message(direction: Direction): RequestMessage | ResponseMessage {
    return direction === "request" ? this.request : this.response!;
  }

  #goesOn(): boolean {
    return this.denial === undefined && !this.#ended;
  }

  /** A request step has been run: what ended the exchange meanwhile keeps the others from running. */
  #stepOver(): void {
    if (this.#goesOn()) this.#requestCursor++;
  }

  /** Ends the chain by a denial of the engine's own; one that was there before stands. */
  #end(status: number, reason: ReasonCode, options: { errorId: string; decider?: Step }): void {
    if (this.denial !== undefined) return;
    this.denial = engineDenial(status, reason, { ...options, style: this.style });
    this.#hooks.giveUp();
  }

  /** Whether the time of the message is over, so that a step which is to run cannot: the exchange then fails. */
  #outOfTime(next: Step): boolean {
    if (!this.#hooks.spent) return false;
    const errorId = newErrorId();
    const reason = "message_timeout";
    this.#log.repeated("warn", "The time of a message was over before all policies had run", {
      ...{ request_id: this.requestId, route: this.route, reason, error_id: errorId },
      next: `${next.name}:${next.version}`,
    });
    this.#end(504, reason, { errorId });
    return true;
  }

  #continueResponse(response: ResponseMessage): void | Promise<void> {
    const { response: steps } = this.chain;
    while (this.#responseCursor < steps.length && this.#goesOn()) {
      const step = steps[this.#responseCursor]!;
      const admission = this.#admission.admit(step, "response");
      if (admission === "suspend") return undefined;
      // A step that was not run may still dress the denial, whose walk has begun from here.
      if (admission === "stop" || (admission === "run" && this.#outOfTime(step))) break;
      this.#responseCursor++;
      if (admission === "skip") continue;
      const messages = { request: this.request, response, denied: false };
      const context = new ResponseHookContext(this, step, messages);
      const pending = this.#hooks.run(step, { phase: "response", context });
      if (pending !== undefined) return pending.then(() => this.#continueResponse(response));
    }
    return this.#runOnDenial();
  }

  /**
   * Runs the response hooks that apply to denials and have not run yet, if there is a denial. A refusal and the
   * end of the hook that ran meanwhile both lead here: the second one joins the first.
   */
  #runOnDenial(): void | Promise<void> {
    if (this.denial === undefined) return undefined;
    this.#dressing ??= this.#dress(this.denial);
    return this.#dressing;
  }

  #dress(denial: Denial): Promise<void> | undefined {
    const { response: steps } = this.chain;
    while (this.#responseCursor < steps.length && !this.#ended) {
      const step = steps[this.#responseCursor++]!;
      if (!step.appliesToDenials) continue;
      const messages = { request: this.request, response: denial.response, denied: true };
      if (!this.#admission.dresses(step, messages)) continue;
      const context = new ResponseHookContext(this, step, messages);
      const pending = this.#hooks.run(step, { phase: "denial", context });
      if (pending !== undefined) return pending.then(() => this.#dress(denial));
    }
    return undefined;
  }

  /** Ends the chain for a body's sake. */
  noteRefusal(direction: Direction, reason: BodyReason): void {
    const errorId = newErrorId();
    const fields = { request_id: this.requestId, route: this.route, direction, reason, error_id: errorId };
    this.#log.repeated("warn", "Refused a body", fields);
    this.#end(BODY_STATUS[reason][direction], reason, { errorId });
  }
}
