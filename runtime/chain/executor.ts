// One HTTP exchange on its way through its chain: request steps in list order, response steps in response order,
// each direction with a cursor. At a step that needs a body which is not there yet the direction is suspended, and
// goes on from the same step when the body has come. A hook that is synchronous stays so: a promise is made only
// where a hook returned one.
import {
  isImmediateResponse,
  type Outcome,
  type RequestResult,
  type ResponseResult,
} from "@policy-engine/sdk";
import type { EngineLogger } from "../observability/log.ts";
import { BodyMemory } from "./body-memory.ts";
import type { Chain, Step } from "./chain.ts";
import { applyRequestChanges, applyResponseChanges } from "./changes.ts";
import { ContentCodingError, type ContentLimits, DEFAULT_MAX_RATIO } from "./content-coding.ts";
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
  /** Default: 10 MiB a body, and no bound for all together. */
  readonly bodies?: BodySettings;
  readonly log: EngineLogger;
}

/** Bounds for the bodies of an exchange. */
export interface BodySettings {
  /** For one body, as it came and decoded. */
  readonly limits: ContentLimits;
  /** Shared by all exchanges. */
  readonly memory: BodyMemory;
}

/** What a hook runs for: the two phases, or a denial of ours that a response hook may dress. */
type Phase = "request" | "response" | "denial";
type Direction = "request" | "response";
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
  /** Where the next step waits for a body. */
  readonly suspended: Record<Direction, boolean> = { request: false, response: false };
  readonly #log: EngineLogger;
  readonly #bodies: BodySettings;
  /** Bytes taken of the memory for bodies. */
  readonly #taken: Record<Direction, number> = { request: 0, response: 0 };
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

  constructor({ chain, request, bodies = DEFAULT_BODIES, log }: ExchangeSettings) {
    this.chain = chain;
    this.#bodies = bodies;
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

  /** Runs the request steps. Look at `denial`, `suspended` and the message's edits afterwards. */
  runRequest(): void | Promise<void> {
    const { request: steps } = this.chain;
    while (this.#requestCursor < steps.length && this.#goesOn()) {
      const step = steps[this.#requestCursor]!;
      const readiness = this.#prepare(step, "request");
      if (readiness === "suspend") return undefined;
      const runs = readiness === "run" && step.policy.onRequest !== undefined;
      if (readiness === "skip" || (readiness === "run" && !runs)) this.#requestCursor++;
      if (!runs) continue;
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
    const message = direction === "request" ? this.request : this.response!;
    this.suspended[direction] = false;
    if (content.length > this.#maxBytes) return this.#refuseBody(direction, "body_too_large");
    if (!this.#take(direction, content.length)) return this.#refuseBody(direction, "body_memory_exhausted");
    message.body.arrive(content, message.headers.get("content-encoding"));
    return direction === "request" ? this.runRequest() : this.#continueResponse(this.response!);
  }

  /** Whether this is content of a message that was said to have none, which a step has looked at as empty. */
  wasUnannounced(direction: Direction, content: Uint8Array): boolean {
    const need = direction === "request" ? "requestBody" : "responseBody";
    if (content.length === 0 || this.chain[direction].every((step) => step[need] === "none")) return false;
    return !(direction === "request" ? this.request : this.response!).hasBody;
  }

  /** Whether policies changed a message since Envoy was last told. */
  changesLeft(direction: Direction): boolean {
    const message = direction === "request" ? this.request : this.response!;
    return message.newContent !== undefined || message.edits().length > 0;
  }

  /** Lets go of the request's body when it was sent on and no step will look at it again. */
  requestSent(): void {
    if (this.chain.response.some((step) => step.requestBody !== "none")) return;
    this.request.body.drop();
    this.#giveBack("request");
  }

  /** Ends the chain by a fault that is not a policy's; a denial that was there before stands. */
  refuse(status: number, reason: ReasonCode, message: string): void | Promise<void> {
    const errorId = newErrorId();
    this.#log.error(message, { request_id: this.requestId, route: this.route, reason, error_id: errorId });
    return this.#deny(engineDenial(status, reason, { errorId }));
  }

  /** Ends the chain for what the client or the upstream did about a body; it can do so often, so no error is logged. */
  refuseBody(direction: Direction, reason: BodyReason): void | Promise<void> {
    return this.#refuseBody(direction, reason);
  }

  /** Ends the exchange: after the last answer, or because Envoy went away. Only the first call counts. */
  end(how: "answered" | "cancelled"): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#giveBack("request");
    this.#giveBack("response");
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

  get #maxBytes(): number {
    return Math.min(this.chain.bodyBytes, this.#bodies.limits.maxBytes);
  }

  #goesOn(): boolean {
    return this.denial === undefined && !this.#ended;
  }

  #continueResponse(response: ResponseMessage): void | Promise<void> {
    const { response: steps } = this.chain;
    while (this.#responseCursor < steps.length && this.#goesOn()) {
      const step = steps[this.#responseCursor]!;
      const readiness = this.#prepare(step, "response");
      if (readiness === "suspend") return undefined;
      // A step that was not run may still dress the denial, whose walk has begun from here.
      if (readiness === "stop") break;
      this.#responseCursor++;
      if (readiness === "skip") continue;
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

  /** Whether a step can run now: its body must be there, decoded if it reads it decoded. */
  #prepare(step: Step, direction: Direction): "run" | "suspend" | "skip" | "stop" {
    const need = direction === "request" ? step.requestBody : step.responseBody;
    if (need === "none") return "run";
    const message = direction === "request" ? this.request : this.response!;
    if (message.body.arrived) return need === "raw" || this.#decode(step, direction) ? "run" : "stop";
    if (!message.expectsBody) {
      // A body that a status of ours takes away is empty from here on, whatever status follows.
      if (message instanceof ResponseMessage && message.hasBody) message.dropBody();
      else message.body.arrive(EMPTY);
      return "run";
    }
    if (message.unbufferable) {
      if (step.onUnbufferable === "skip") return "skip";
      void this.#refuseBody(direction, "body_unbufferable");
      return "stop";
    }
    if (Number(message.headers.get("content-length") ?? 0) > this.#maxBytes) {
      void this.#refuseBody(direction, "body_too_large");
      return "stop";
    }
    this.suspended[direction] = true;
    return "suspend";
  }

  /** Decodes a body for a step that reads it. False: it could not be, and there is a denial. */
  #decode(step: Step, direction: Direction): boolean {
    const { body } = direction === "request" ? this.request : this.response!;
    if (body.decoded) return true;
    try {
      const decoded = body.decode({ ...this.#bodies.limits, maxBytes: this.#maxBytes });
      if (decoded === body.content || this.#take(direction, decoded.length)) return true;
      this.#noteRefusal(direction, "body_memory_exhausted");
    } catch (cause) {
      if (cause instanceof ContentCodingError && LARGE.has(cause.code))
        this.#noteRefusal(direction, "body_too_large");
      else this.#fail(step, direction, cause);
    }
    return false;
  }

  #refuseBody(direction: Direction, reason: BodyReason): void | Promise<void> {
    this.#noteRefusal(direction, reason);
    return this.#runOnDenial();
  }

  #noteRefusal(direction: Direction, reason: BodyReason): void {
    const errorId = newErrorId();
    const fields = { request_id: this.requestId, route: this.route, direction, reason, error_id: errorId };
    this.#log.warn("Refused a body", fields);
    this.denial ??= engineDenial(BODY_STATUS[reason][direction], reason, { errorId });
  }

  #take(direction: Direction, bytes: number): boolean {
    if (!this.#bodies.memory.acquire(bytes)) return false;
    this.#taken[direction] += bytes;
    return true;
  }

  #giveBack(direction: Direction): void {
    this.#bodies.memory.release(this.#taken[direction]);
    this.#taken[direction] = 0;
  }

  /** The first denial stands. */
  #deny(denial: Denial): void | Promise<void> {
    this.denial ??= denial;
    return this.#runOnDenial();
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

/** Why a body ended a chain. */
export type BodyReason = Extract<ReasonCode, `body_${string}` | "change_too_late">;

/** The client's fault in the request, the upstream's in the response. */
const BODY_STATUS: Readonly<Record<BodyReason, Readonly<Record<Direction, number>>>> = {
  body_too_large: { request: 413, response: 502 },
  body_memory_exhausted: { request: 503, response: 502 },
  body_timeout: { request: 408, response: 504 },
  body_unbufferable: { request: 501, response: 502 },
  change_too_late: { request: 400, response: 502 },
};

const DEFAULT_BODIES: BodySettings = {
  limits: { maxBytes: 10 * 1024 * 1024, maxRatio: DEFAULT_MAX_RATIO },
  memory: new BodyMemory(Number.POSITIVE_INFINITY),
};

/** Codes of a content that decodes to more than it may. */
const LARGE: ReadonlySet<string> = new Set(["too_large", "too_dense"]);
const EMPTY = new Uint8Array(0);

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
