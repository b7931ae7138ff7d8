// One HTTP exchange on its way through its chain: request steps in list order, response steps in response order,
// each direction with a cursor. A hook that is synchronous stays so: a promise is made only where a hook
// returned one.
import {
  isImmediateResponse,
  type Outcome,
  type RequestResult,
  type ResponseResult,
} from "@policy-engine/sdk";
import type { EngineLogger } from "../observability/log.ts";
import type { Chain, Step } from "./chain.ts";
import { applyRequestChanges, applyResponseChanges } from "./changes.ts";
import { EndHookContext, type ExchangeFacts, RequestHookContext, ResponseHookContext } from "./contexts.ts";
import { type Denial, denialOf, engineDenial, newErrorId, type ReasonCode } from "./denial.ts";
import {
  type DynamicMetadata,
  type ReceivedRequest,
  type ReceivedResponse,
  RequestMessage,
  ResponseMessage,
} from "./messages.ts";

/** Visible ASCII of a length that no honest id exceeds: a client may send it, and logs repeat it. */
const REQUEST_ID = /^[\x21-\x7e]{1,128}$/;

/** What an exchange begins with. */
export interface ExchangeSettings {
  readonly chain: Chain;
  /** The request, as far as Envoy sent it. */
  readonly request: ReceivedRequest;
  readonly log: EngineLogger;
}

/** What a hook runs for: the two phases, or a denial of ours that a response hook may dress. */
type Phase = "request" | "response" | "denial";
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
  #requestCursor = 0;
  #responseCursor = 0;
  /** The walk of hooks over a denial, while it waits. */
  #dressing: Promise<void> | undefined;
  #requestId: string | undefined;
  #abort: AbortController | undefined;
  /** Hooks that were called and have not come to their end. */
  #atWork = 0;
  /** Steps that want to hear of the end. */
  #started: Set<Step> | undefined;
  #ended = false;

  constructor({ chain, request, log }: ExchangeSettings) {
    this.chain = chain;
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

  /** Whether every request step has run. */
  get requestDone(): boolean {
    return this.#requestCursor === this.chain.request.length;
  }

  /** Aborted when the exchange is cancelled, or ends while a hook is still at work. */
  signal(): AbortSignal {
    if (this.#abort === undefined) {
      this.#abort = new AbortController();
      if (this.#ended) this.#abort.abort();
    }
    return this.#abort.signal;
  }

  /** Runs the request steps. Look at `denial` and at the message's edits afterwards. */
  runRequest(): void | Promise<void> {
    const { request: steps } = this.chain;
    while (this.#requestCursor < steps.length && this.#goesOn()) {
      const step = steps[this.#requestCursor]!;
      const pending = this.#runHook(step, "request", new RequestHookContext(this, step, this.request));
      if (pending !== undefined) return pending.then(() => this.runRequest());
    }
    return this.#runOnDenial();
  }

  /** Runs the response steps. Look at `denial` and at the message's edits afterwards. */
  runResponse(received: ReceivedResponse): void | Promise<void> {
    this.response = new ResponseMessage(received);
    return this.#continueResponse(this.response);
  }

  /** Ends the chain by a fault that is not a policy's; a denial that was there before stands. */
  refuse(status: number, reason: ReasonCode, message: string): void | Promise<void> {
    const errorId = newErrorId();
    this.#log.error(message, { request_id: this.requestId, route: this.route, reason, error_id: errorId });
    this.denial ??= engineDenial(status, reason, { errorId });
    return this.#runOnDenial();
  }

  /** Ends the exchange: after the last answer, or because Envoy went away. Only the first call counts. */
  end(how: "answered" | "cancelled"): void {
    if (this.#ended) return;
    this.#ended = true;
    // A hook that still works after the answer was refused its say: nobody waits for it.
    if (how === "cancelled" || this.#atWork > 0) this.#abort?.abort();
    if (this.#started === undefined) return;
    const outcome: Outcome = how === "cancelled" ? "cancelled" : (this.denial?.outcome ?? "passed");
    const reason = this.denial?.reason ?? "";
    for (const step of this.chain.steps) {
      if (!this.#started.has(step)) continue;
      try {
        const result: unknown = step.policy.onEnd?.(new EndHookContext(this, step, { outcome, reason }));
        // The compiler lets an asynchronous function pass for this hook; nobody else would hear of its failure.
        if (isThenable(result)) void this.#watchEnd(step, result);
      } catch (cause) {
        this.#failEnd(step, cause);
      }
    }
  }

  async #watchEnd(step: Step, pending: PromiseLike<unknown>): Promise<void> {
    try {
      await pending;
    } catch (cause) {
      this.#failEnd(step, cause);
    }
  }

  #failEnd(step: Step, cause: unknown): void {
    step.metrics.failure("on_end").inc();
    step.log.error("Policy failed in onEnd", { request_id: this.requestId, error: cause });
  }

  #goesOn(): boolean {
    return this.denial === undefined && !this.#ended;
  }

  #continueResponse(response: ResponseMessage): void | Promise<void> {
    const { response: steps } = this.chain;
    while (this.#responseCursor < steps.length && this.#goesOn()) {
      const step = steps[this.#responseCursor++]!;
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
      const pending = this.#runHook(step, "denial", new ResponseHookContext(this, step, messages));
      if (pending !== undefined) return pending.then(() => this.#dress(denial));
    }
    return undefined;
  }

  /** Runs one hook to its outcome. Never throws, and the promise never rejects. */
  #runHook(step: Step, phase: Phase, context: HookContext): Promise<void> | undefined {
    if (step.policy.onEnd !== undefined) {
      this.#started ??= new Set();
      this.#started.add(step);
    }
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
      if (result !== undefined) this.#apply(phase, checkObject(result));
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

  #apply(phase: Phase, changes: object): void {
    if (phase === "request") applyRequestChanges(this.request, changes, this.dynamicMetadata);
    else applyResponseChanges(this.denial?.response ?? this.response!, changes, this.dynamicMetadata);
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

function isThenable<T>(value: T | PromiseLike<T>): value is PromiseLike<T> {
  return typeof value === "object" && value !== null && "then" in value && typeof value.then === "function";
}

function checkObject(result: unknown): object {
  if (typeof result === "object" && result !== null) return result;
  const found = result === null ? "null" : `a ${typeof result}`;
  throw new TypeError(`Cannot apply the result: it is ${found}, an object is needed`);
}
