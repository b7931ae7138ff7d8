// One HTTP exchange on its way through its chain: request steps in list order, response steps in response order,
// each direction with a cursor. At a step that needs a body which is not there yet the direction is suspended, and
// goes on from the same step when the body has come. A step whose condition is false is left out. A hook that is synchronous stays so: a promise is made only
// where a hook returned one.
import {
  isImmediateResponse,
  type Outcome,
  type RequestResult,
  type ResponseResult,
} from "@policy-engine/sdk";
import type { EngineLogger } from "../observability/log.ts";
import type { Chain, Step, StepCondition } from "./chain.ts";
import { applyRequestChanges, applyResponseChanges } from "./changes.ts";
import { type ExchangeFacts, RequestHookContext, ResponseHookContext } from "./contexts.ts";
import { type Denial, denialOf, engineDenial, newErrorId, type ReasonCode } from "./denial.ts";
import { EndHooks } from "./end-hooks.ts";
import {
  BODY_STATUS,
  type BodyReason,
  type BodySettings,
  DEFAULT_BODIES,
  type Direction,
  ExchangeBodies,
} from "./exchange-bodies.ts";
import type { BodyNeed } from "./message-body.ts";
import {
  type DynamicMetadata,
  type ReceivedRequest,
  type ReceivedResponse,
  RequestMessage,
  ResponseMessage,
} from "./messages.ts";
import { StepConditions } from "./step-conditions.ts";
import { isThenable } from "./thenable.ts";

/** Visible ASCII of a length that no honest id exceeds: a client may send it, and logs repeat it. */
const REQUEST_ID = /^[\x21-\x7e]{1,128}$/;

/** What an exchange begins with. */
export interface ExchangeSettings {
  readonly chain: Chain;
  /** The request, as far as Envoy sent it. */
  readonly request: ReceivedRequest;
  /** Default: 10 MiB a body, and no bound for all together. */
  readonly bodies?: BodySettings;
  readonly log: EngineLogger;
}

/** What a hook runs for: the two phases, or a denial of ours that a response hook may dress. */
type Phase = "request" | "response" | "denial";
/** Whether a step runs now, waits for its body, is left out, or cannot run: then there is a denial. */
type Admission = "run" | "suspend" | "skip" | "stop";
type HookContext = RequestHookContext | ResponseHookContext;
type HookResult = RequestResult | ResponseResult;

/** See the head of the file. The caller runs the phases, sends what came out, and ends it once. */
export class Exchange implements ExchangeFacts {
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
  readonly #log: EngineLogger;
  readonly #bodies: ExchangeBodies;
  readonly #conditions = new StepConditions(this);
  #requestCursor = 0;
  #responseCursor = 0;
  /** The walk of hooks over a denial, while it waits. */
  #dressing: Promise<void> | undefined;
  #requestId: string | undefined;
  #abort: AbortController | undefined;
  /** Hooks that were called and have not come to their end. */
  #atWork = 0;
  readonly #endHooks = new EndHooks();
  #ended = false;

  constructor({ chain, request, bodies = DEFAULT_BODIES, log }: ExchangeSettings) {
    this.chain = chain;
    this.#bodies = new ExchangeBodies(bodies, chain.bodyBytes);
    this.route = chain.route;
    this.request = new RequestMessage(request);
    this.metadata = chain.metadata;
    this.#log = log;
  }

  /** Envoy's `x-request-id`, or one of our own where that is missing or unfit for a log. */
  get requestId(): string {
    if (this.#requestId === undefined) {
      const given = this.request.original.headers.get("x-request-id");
      this.#requestId = given !== undefined && REQUEST_ID.test(given) ? given : crypto.randomUUID();
    }
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
    return this.#conditions.decided(step);
  }

  /** Aborted when the exchange is cancelled, or ends while a hook is still at work. */
  signal(): AbortSignal {
    if (this.#abort === undefined) {
      this.#abort = new AbortController();
      if (this.#ended) this.#abort.abort();
    }
    return this.#abort.signal;
  }

  /** Runs the request steps. Look at `denial`, `suspended` and the message's edits afterwards. */
  runRequest(): void | Promise<void> {
    const { request: steps } = this.chain;
    while (this.#requestCursor < steps.length && this.#goesOn()) {
      const step = steps[this.#requestCursor]!;
      const admission = this.#admit(step, "request");
      if (admission === "suspend") return undefined;
      if (admission === "stop") break;
      // A step whose condition looks at the request's body may have nothing else to do here.
      if (admission === "skip" || step.policy.onRequest === undefined) {
        this.#requestCursor++;
        continue;
      }
      const pending = this.#runHook(step, "request", new RequestHookContext(this, step, this.request));
      if (pending !== undefined) return pending.then(() => this.runRequest());
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
    this.#log.error(message, { request_id: this.requestId, route: this.route, reason, error_id: errorId });
    this.denial ??= engineDenial(status, reason, { errorId });
    return this.#runOnDenial();
  }

  /** Ends the chain for what the client or the upstream did about a body; it can do so often, so no error is logged. */
  refuseBody(direction: Direction, reason: BodyReason): void | Promise<void> {
    this.#noteRefusal(direction, reason);
    return this.#runOnDenial();
  }

  /** Ends the exchange: after the last answer, or because Envoy went away. Only the first call counts. */
  end(how: "answered" | "cancelled"): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#bodies.release("request");
    this.#bodies.release("response");
    // A hook that still works after the answer was refused its say: nobody waits for it.
    if (how === "cancelled" || this.#atWork > 0) this.#abort?.abort();
    const outcome: Outcome = how === "cancelled" ? "cancelled" : (this.denial?.outcome ?? "passed");
    this.#endHooks.run(this, this.chain.steps, { outcome, reason: this.denial?.reason ?? "" });
  }

  #message(direction: Direction): RequestMessage | ResponseMessage {
    return direction === "request" ? this.request : this.response!;
  }

  #goesOn(): boolean {
    return this.denial === undefined && !this.#ended;
  }

  #continueResponse(response: ResponseMessage): void | Promise<void> {
    const { response: steps } = this.chain;
    while (this.#responseCursor < steps.length && this.#goesOn()) {
      const step = steps[this.#responseCursor]!;
      const admission = this.#admit(step, "response");
      if (admission === "suspend") return undefined;
      // A step that was not run may still dress the denial, whose walk has begun from here.
      if (admission === "stop") break;
      this.#responseCursor++;
      if (admission === "skip") continue;
      const messages = { request: this.request, response, denied: false };
      const pending = this.#runHook(step, "response", new ResponseHookContext(this, step, messages));
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
      if (!this.#dresses(step, messages)) continue;
      const pending = this.#runHook(step, "denial", new ResponseHookContext(this, step, messages));
      if (pending !== undefined) return pending.then(() => this.#dress(denial));
    }
    return undefined;
  }

  #admit(step: Step, direction: Direction): Admission {
    const { condition } = step;
    if (condition !== undefined) {
      const admission = this.#decide(step, condition, direction);
      if (admission !== "run") return admission;
    }
    const need = direction === "request" ? step.requestBody : step.responseBody;
    const runs = direction === "response" || step.policy.onRequest !== undefined;
    return need === "none" || !runs ? "run" : this.#awaitBody(step, direction, need);
  }

  /** Evaluates a step's condition where it is not pinned yet; one that looks at a body waits for it. */
  #decide(step: Step, { reads }: StepCondition, direction: Direction): Admission {
    const decided = this.#conditions.decided(step);
    if (decided !== undefined) return decided ? "run" : "skip";
    if (direction === "request" ? reads.requestBody : reads.responseBody) {
      const admission = this.#awaitBody(step, direction, "buffered");
      // Left out for its body's sake: its other phase is left out too.
      if (admission === "skip") this.#conditions.pin(step, false);
      if (admission !== "run") return admission;
    }
    const decision = this.#conditions.evaluate(step, this.#conditionContext(step, direction));
    if (decision.errorId === undefined) return this.#conditions.pin(step, decision.value) ? "run" : "skip";
    this.#conditions.pin(step, false);
    if (step.conditionError === "skip") return "skip";
    this.denial ??= engineDenial(500, "condition_failed", { errorId: decision.errorId, decider: step });
    return "stop";
  }

  #conditionContext(step: Step, direction: Direction): HookContext {
    if (direction === "request") return new RequestHookContext(this, step, this.request, "buffered");
    const messages = { request: this.request, response: this.response!, denied: false };
    return new ResponseHookContext(this, step, messages, "buffered");
  }

  /** Whether a step that applies to denials runs on this one: its condition has decided, or decides. */
  #dresses(
    step: Step,
    messages: { request: RequestMessage; response: ResponseMessage; denied: boolean },
  ): boolean {
    if (step.condition === undefined) return true;
    const decided = this.#conditions.decided(step);
    if (decided !== undefined) return decided;
    const decision = this.#conditions.evaluate(
      step,
      new ResponseHookContext(this, step, messages, "buffered"),
    );
    return decision.errorId === undefined && decision.value;
  }

  #awaitBody(step: Step, direction: Direction, need: BodyNeed): Admission {
    const message = this.#message(direction);
    const state = this.#bodies.prepare(direction, message, need);
    if (state === "suspend") return "suspend";
    if (state === "ready") return "run";
    if (state === "body_unbufferable" && step.onUnbufferable === "skip") return "skip";
    if (typeof state === "string") this.#noteRefusal(direction, state);
    else this.#fail(step, direction, state);
    return "stop";
  }

  #noteRefusal(direction: Direction, reason: BodyReason): void {
    const errorId = newErrorId();
    const fields = { request_id: this.requestId, route: this.route, direction, reason, error_id: errorId };
    this.#log.warn("Refused a body", fields);
    this.denial ??= engineDenial(BODY_STATUS[reason][direction], reason, { errorId });
  }

  /** Runs one hook to its outcome. Never throws, and the promise never rejects. */
  #runHook(step: Step, phase: Phase, context: HookContext): Promise<void> | undefined {
    this.#endHooks.note(step);
    const startedAt = performance.now();
    try {
      const result = callHook(step, context);
      if (isThenable(result)) return this.#awaitHook(result, { step, phase, context, startedAt });
      this.#settle(result, { step, phase, context, startedAt });
    } catch (cause) {
      this.#fail(step, phase, cause);
    }
    return undefined;
  }

  async #awaitHook(pending: PromiseLike<HookResult>, run: HookRun): Promise<void> {
    this.#atWork++;
    try {
      this.#settle(await pending, run);
    } catch (cause) {
      this.#fail(run.step, run.phase, cause);
    } finally {
      this.#atWork--;
    }
  }

  #settle(result: HookResult, { step, phase, context, startedAt }: HookRun): void {
    step.metrics.duration.observe((performance.now() - startedAt) / 1000);
    // Nobody waits for a late result: what the hook wrote and wanted is dropped.
    if (this.#tooLate(phase)) return;
    if (!isImmediateResponse(result)) {
      if (result !== undefined) this.#apply(step, phase, checkObject(result));
      step.metrics.passed.inc();
      if (phase === "request") this.#requestCursor++;
    } else if (phase === "denial") {
      step.log.warn("Policy answered a denial: ignored", { request_id: this.requestId });
    } else {
      this.denial = denialOf(result, step);
      step.metrics.denied.inc();
    }
    context.commit();
  }

  /** Whether the exchange was over, or refused, before the hook returned. */
  #tooLate(phase: Phase): boolean {
    return this.#ended || (phase !== "denial" && this.denial !== undefined);
  }

  #apply(step: Step, phase: Phase, changes: object): void {
    const metadata = this.dynamicMetadata;
    if (phase === "request") {
      applyRequestChanges(this.request, changes, { metadata, need: step.requestBody });
      return;
    }
    const response = this.denial?.response ?? this.response!;
    if (applyResponseChanges(response, changes, { metadata, need: step.responseBody })) return;
    step.metrics.failure("body_dropped").inc();
    step.log.warn("Policy gave a body to a response that must have none: left out", {
      request_id: this.requestId,
    });
  }

  #fail(step: Step, phase: Phase, cause: unknown): void {
    if (this.#tooLate(phase)) return;
    const hook = phase === "request" ? "onRequest" : "onResponse";
    const errorId = newErrorId();
    step.metrics.failed.inc();
    step.metrics.failure(phase === "request" ? "on_request" : "on_response").inc();
    step.log.error(`Policy failed in ${hook}`, {
      request_id: this.requestId,
      error_id: errorId,
      error: cause,
    });
    // On a denial, the first one stands.
    if (phase !== "denial") this.denial = engineDenial(500, "policy_failed", { errorId, decider: step });
  }
}

interface HookRun {
  readonly step: Step;
  readonly phase: Phase;
  readonly context: HookContext;
  readonly startedAt: number;
}

function callHook({ policy }: Step, context: HookContext): HookResult | PromiseLike<HookResult> {
  return context instanceof RequestHookContext ? policy.onRequest?.(context) : policy.onResponse?.(context);
}

function checkObject(result: unknown): object {
  if (typeof result === "object" && result !== null) return result;
  const found = result === null ? "null" : `a ${typeof result}`;
  throw new TypeError(`Cannot apply the result: it is ${found}, an object is needed`);
}
