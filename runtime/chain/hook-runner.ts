// Runs the hooks of one exchange, each to its outcome: what it returned is applied, or it has failed and has left
// nothing behind. A hook that is synchronous stays so: promises and timers are for those that return a promise.
import { isImmediateResponse, type RequestResult, type ResponseResult } from "@policy-engine/sdk";
import type { Step } from "./chain.ts";
import { applyRequestChanges, applyResponseChanges } from "./changes.ts";
import { type ExchangeFacts, RequestHookContext, type ResponseHookContext } from "./contexts.ts";
import {
  type Denial,
  type DenialStyle,
  denialOf,
  engineDenial,
  newErrorId,
  type ReasonCode,
} from "./denial.ts";
import { EndHooks, type ExchangeEnd } from "./end-hooks.ts";
import type { MessageBudget } from "./message-budget.ts";
import type { DynamicMetadata, RequestMessage, ResponseMessage } from "./messages.ts";
import { PendingHook } from "./pending-hook.ts";
import { isThenable } from "./thenable.ts";

/** What a hook runs for: the two phases, or a denial of ours that a response hook may dress. */
export type Phase = "request" | "response" | "denial";
export type HookContext = RequestHookContext | ResponseHookContext;
type HookResult = RequestResult | ResponseResult;

/** The exchange, as far as hooks change it. */
export interface HookHost extends ExchangeFacts {
  readonly request: RequestMessage;
  readonly response: ResponseMessage | undefined;
  denial: Denial | undefined;
  readonly dynamicMetadata: DynamicMetadata;
  readonly style: DenialStyle;
}

/** One run of one hook. */
interface HookRun {
  readonly step: Step;
  readonly phase: Phase;
  readonly context: HookContext;
  readonly startedAt: number;
}

/** Why a policy has failed; without a reason it is `policy_failed`. */
interface Failure {
  readonly cause: unknown;
  readonly reason?: Extract<ReasonCode, `policy_${string}`>;
}

/** See the head of the file. */
export class HookRunner {
  readonly #host: HookHost;
  readonly #budget: MessageBudget;
  #endHooks: EndHooks | undefined;
  /** When the message came whose steps run, and the end of the last hook since; milliseconds of the same clock. */
  #arrivedAt = 0;
  #now = 0;
  #pending: PendingHook | undefined;
  #failedOpen: Set<Step> | undefined;
  /** Names for Envoy, if they are asked for. */
  #leftOut: string[] | undefined;

  constructor(host: HookHost, budget: MessageBudget) {
    this.#host = host;
    this.#budget = budget;
  }

  /** Starts the time of a message. One that comes while a hook works has no steps of its own. */
  messageArrived(at: number): void {
    if (this.#pending?.open === true) return;
    this.#arrivedAt = at;
    this.#now = at;
  }

  /** Whether the time of the message was over when the last hook ended. */
  get spent(): boolean {
    return this.#now >= this.#messageEnd("request");
  }

  /** Whether the step failed and was left out, as its failure mode says. What it has of the exchange is unknown. */
  failedOpen(step: Step): boolean {
    return this.#failedOpen?.has(step) === true;
  }

  /** Runs one hook to its outcome. Never throws, and the promise never rejects. */
  run(step: Step, { phase, context }: { phase: Phase; context: HookContext }): Promise<void> | undefined {
    if (step.policy.onEnd !== undefined) {
      this.#endHooks ??= new EndHooks();
      this.#endHooks.note(step);
    }
    // Where nobody has said when the message came, it is now.
    if (this.#now === 0) this.#now = performance.now();
    // What lies between two hooks is little, and looking at the clock is not for nothing.
    const run = { step, phase, context, startedAt: this.#now };
    let result: HookResult | PromiseLike<HookResult>;
    try {
      result = callHook(step, context);
      if (isThenable(result)) return this.#wait(result, run);
    } catch (cause) {
      this.#stopClock(run);
      this.fail(step, phase, { cause });
      return undefined;
    }
    this.#settle(result, run);
    return undefined;
  }

  /** Ends a run by a failure of its policy: of the exchange too, unless the policy fails open. */
  fail(step: Step, phase: Phase, { cause, reason = "policy_failed" }: Failure): void {
    const { failureMode, metrics } = step;
    const hook = phase === "request" ? "onRequest" : "onResponse";
    const errorId = newErrorId();
    metrics.failed.inc();
    metrics.failure(COUNTED_AS[reason] ?? (phase === "request" ? "on_request" : "on_response")).inc();
    step.log.repeated("error", `Policy failed in ${hook}`, {
      request_id: this.#host.requestId,
      reason,
      error_id: errorId,
      failure_mode: failureMode,
      ...(phase === "denial" && { denied: true }),
      error: cause,
    });
    // On a denial, the first one stands.
    if (phase === "denial") return;
    if (failureMode === "open") {
      this.#failedOpen ??= new Set();
      this.#failedOpen.add(step);
      this.tellLeftOut(step);
      return;
    }
    const { style } = this.#host;
    this.#host.denial = engineDenial(500, reason, { errorId, decider: step, style });
  }

  /** Lets Envoy know, if asked for, of a policy that a fault left out: the request may pass without it. */
  tellLeftOut({ name, version }: Step): void {
    const { metadataNamespace: namespace } = this.#host.style;
    if (namespace === undefined) return;
    this.#leftOut = [...(this.#leftOut ?? []), `${name}:${version}`];
    this.#putLeftOut(namespace);
  }

  #putLeftOut(namespace: string): void {
    const { dynamicMetadata } = this.#host;
    dynamicMetadata[namespace] = { ...dynamicMetadata[namespace], failed_open: this.#leftOut };
  }

  /** Gives up the hook that works: nobody waits for it any more. */
  giveUp(): void {
    if (this.#pending?.open !== true) return;
    this.#pending.giveUp(new DOMException("The exchange is over", "AbortError"));
  }

  /** Runs `onEnd` of the steps of which a hook had started. */
  end(steps: readonly Step[], end: ExchangeEnd): void {
    this.#endHooks?.run(this.#host, steps, end);
  }

  #wait(result: PromiseLike<HookResult>, run: HookRun): Promise<void> {
    const pending = new PendingHook(run.context);
    this.#pending = pending;
    void this.#follow(result, { run, pending });
    const ownEnd = run.startedAt + run.step.timeoutMs;
    const messageEnd = this.#messageEnd(run.phase);
    pending.after(Math.min(ownEnd, messageEnd) - performance.now(), () => {
      if (!pending.open) return;
      this.#stopClock(run);
      // A timer may be early by a part of a millisecond; then no later step may think that there is time.
      if (messageEnd < ownEnd) this.#now = Math.max(this.#now, messageEnd);
      const limit =
        messageEnd < ownEnd ? "the time of the message" : `its timeout of ${run.step.timeoutMs} ms`;
      const { name, version } = run.step;
      const cause = new DOMException(`Policy ${name}:${version} did not end within ${limit}`, "TimeoutError");
      this.fail(run.step, run.phase, { cause, reason: "policy_timeout" });
      pending.giveUp(cause);
    });
    return pending.done;
  }

  /** Waits for a hook as long as it takes, so that no rejection is stray; what comes too late is dropped. */
  async #follow(
    result: PromiseLike<HookResult>,
    { run, pending }: { run: HookRun; pending: PendingHook },
  ): Promise<void> {
    let settled: HookResult;
    try {
      settled = await result;
    } catch (cause) {
      if (pending.close()) {
        this.#stopClock(run);
        this.fail(run.step, run.phase, { cause });
      } else {
        const fields = { request_id: this.#host.requestId, error: cause };
        run.step.log.repeated("debug", "Policy failed after its time was over: ignored", fields);
      }
      return;
    }
    if (pending.close()) this.#settle(settled, run);
  }

  #settle(result: HookResult, run: HookRun): void {
    this.#stopClock(run);
    const { step, phase, context } = run;
    try {
      if (!isImmediateResponse(result)) {
        if (result !== undefined) {
          this.#apply(run, checkObject(result));
          // Whatever the policy wrote in its place.
          if (this.#leftOut !== undefined) this.#putLeftOut(this.#host.style.metadataNamespace!);
        }
        context.commit();
        step.metrics.passed.inc();
        return;
      }
      if (phase === "denial") {
        step.log.repeated("warn", "Policy answered a denial: ignored", { request_id: this.#host.requestId });
      } else {
        this.#host.denial = denialOf(result, step, this.#host.style);
        context.commit();
        step.metrics.denied.inc();
      }
    } catch (cause) {
      this.fail(step, phase, { cause });
    }
  }

  #apply({ step, phase }: HookRun, changes: object): void {
    const { request, response, denial, dynamicMetadata: metadata } = this.#host;
    if (phase === "request") {
      applyRequestChanges(request, changes, { metadata, need: step.requestBody });
      return;
    }
    const whole = applyResponseChanges(denial?.response ?? response!, changes, {
      metadata,
      need: step.responseBody,
    });
    if (whole) return;
    step.metrics.failure("body_dropped").inc();
    step.log.repeated("warn", "Policy gave a body to a response that must have none: left out", {
      request_id: this.#host.requestId,
    });
  }

  #messageEnd(phase: Phase): number {
    return this.#arrivedAt + (phase === "denial" ? this.#budget.denialMs : this.#budget.stepsMs);
  }

  #stopClock({ step, startedAt }: HookRun): void {
    this.#now = performance.now();
    step.metrics.duration.observe((this.#now - startedAt) / 1000);
  }
}

/** The label of a failure's counter, where it is not that of the hook. */
const COUNTED_AS = { policy_failed: undefined, policy_timeout: "timeout" } as const;

function callHook({ policy }: Step, context: HookContext): HookResult | PromiseLike<HookResult> {
  return context instanceof RequestHookContext ? policy.onRequest?.(context) : policy.onResponse?.(context);
}

function checkObject(result: unknown): object {
  if (typeof result === "object" && result !== null) return result;
  const found = result === null ? "null" : `a ${typeof result}`;
  throw new TypeError(`Cannot apply the result: it is ${found}, an object is needed`);
}
