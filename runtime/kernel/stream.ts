// One ext_proc stream, which is one HTTP exchange. Messages go through the table in phases.ts, the chain decides,
// and exactly one answer goes back for each message, until nothing more is wanted and the stream ends.
import { type Denial, type DenialStyle, engineDenial, newErrorId, type ReasonCode } from "../chain/denial.ts";
import type { BodyReason, BodySettings } from "../chain/exchange-bodies.ts";
import { Exchange } from "../chain/executor.ts";
import type { MessageBudget } from "../chain/message-budget.ts";
import type { Snapshot } from "../config/snapshot.ts";
import type { EngineLogger } from "../observability/log.ts";
import type { IncomingStream, OutgoingStream, StreamMetadata } from "../transport/transport.ts";
import { type BodyDelivery, EnvoyMessage } from "./codec.ts";
import { type EncodedAnswer, keepAnswer } from "./encode-answer.ts";
import { ExchangeRecord, requestIdIn, type Watchers } from "./exchange-record.ts";
import { PARTS, type Part, PHASES, type Phase } from "./phases.ts";
import { type RoutingConfig, routeExchange } from "./routes.ts";
import {
  bodyAnswer,
  continueAnswer,
  immediateAnswer,
  requestAnswer,
  responseAnswer,
  trailersAnswer,
} from "./translator.ts";

/** How many messages may come before their turn. Envoy has one a direction in flight, or a few body chunks. */
const MAX_WAITING = 64;

/** What all streams of an engine share. */
export interface StreamContext extends Watchers {
  /** The snapshot of this moment; undefined before the first. */
  readonly store: { readonly current: Snapshot | undefined };
  readonly config: RoutingConfig;
  readonly bodies: BodySettings;
  /** How long a body may take to come, in milliseconds. */
  readonly bodyWaitMs: number;
  /** How denials look. */
  readonly denials: DenialStyle;
  /** How long the steps of one message may take. */
  readonly budget: MessageBudget;
  readonly log: EngineLogger;
}

type Direction = "request" | "response";

/** See the head of the file. */
export class ExchangeStream implements IncomingStream {
  readonly #context: StreamContext;
  readonly #metadata: StreamMetadata;
  readonly #out: OutgoingStream;
  readonly #record: ExchangeRecord;
  readonly #phase: Record<Direction, Phase> = { request: "idle", response: "idle" };
  /** Messages of a direction whose steps are running, and when they came. */
  #waiting: { readonly message: EnvoyMessage; readonly at: number }[] | undefined;
  /** Envoy neither waits for nor wants answers: the chain runs, and nothing is sent. */
  #observed = false;
  #halfClosed = false;
  /** The last answer is decided; messages that still come are not looked at. */
  #closing = false;
  #finished = false;
  /** Pinned from the first message to the end. */
  #snapshot: Snapshot | undefined;
  #exchange: Exchange | undefined;
  /** What ended a stream that has no exchange, or whose exchange the engine broke off. */
  #denial: Denial | undefined;
  /** How bodies come, by Envoy's configuration; told in the first message. */
  readonly #delivery: Record<Direction, BodyDelivery> = { request: "partial", response: "partial" };
  #bodyTimer: ReturnType<typeof setTimeout> | undefined;

  constructor(context: StreamContext, stream: { metadata: StreamMetadata; out: OutgoingStream }) {
    this.#context = context;
    this.#metadata = stream.metadata;
    this.#out = stream.out;
    this.#record = new ExchangeRecord(context);
  }

  message(bytes: Uint8Array, start = 0, end: number = bytes.length): void {
    if (this.#closing) return;
    const at = performance.now();
    this.#record.startClock(at);
    try {
      const message = new EnvoyMessage(bytes, start, end);
      this.#record.note(message);
      if (this.#exchange === undefined) this.#begin(message, at);
      else this.#receive(message, { exchange: this.#exchange, at });
    } catch (cause) {
      this.#breakOff(cause);
    }
    this.#record.pauseClock();
  }

  halfClose(): void {
    this.#halfClosed = true;
    // What runs still gets its answer: to end well without one would let the request pass.
    if (!this.#running()) this.#end("cancelled");
  }

  cancel(): void {
    this.#end("cancelled");
  }

  /** Takes the stream's first message: pins the snapshot and finds the chain. */
  #begin(message: EnvoyMessage, at: number): void {
    const { config, store } = this.#context;
    this.#observed = message.observed;
    this.#snapshot = store.current;
    this.#snapshot?.retain();
    const routing = routeExchange(
      { metadata: this.#metadata, message },
      { snapshot: this.#snapshot, config },
    );
    this.#record.route = routing.route;
    if (routing.kind === "refuse") return this.#refuseUnrouted(routing.reason, message);
    if (message.kind === undefined) return this.#refuseUnrouted("out_of_order", message);
    if (routing.kind === "pass") {
      // What Envoy has sent of the body by now would be lost.
      if (message.fullDuplex) return this.#refuseUnrouted("unsupported_body_mode", message);
      this.#send(continueAnswer(message.kind));
      return this.#end("answered");
    }
    const { bodies, budget, denials: style, log } = this.#context;
    const settings = { chain: routing.chain, request: message.request(), bodies, budget, style, log };
    const exchange = new Exchange(settings);
    exchange.messageArrived(at);
    this.#exchange = exchange;
    this.#delivery.request = message.delivery("request");
    this.#delivery.response = message.delivery("response");
    if (message.fullDuplex) {
      return this.#refuse(
        "unsupported_body_mode",
        "Envoy is set to full duplex bodies, use BUFFERED or NONE",
      );
    }
    this.#receive(message, { exchange, at });
  }

  #receive(message: EnvoyMessage, { exchange, at }: { exchange: Exchange; at: number }): void {
    exchange.messageArrived(at);
    const { kind } = message;
    if (kind === undefined) return this.#refuse("out_of_order", "Envoy sent a message of an unknown kind");
    const [direction, part] = PARTS[kind];
    const [action, next] = PHASES[this.#phase[direction]][part];
    this.#phase[direction] = next;
    switch (action) {
      case "run":
        if (direction === "request") return this.#answerAfter(direction, part, exchange.runRequest());
        if (exchange.requestDone) {
          const response = message.response(exchange.request.originalMethod);
          if (!isStatus(response.status))
            return this.#refuse("out_of_order", "Envoy sent response_headers without a status");
          return this.#answerAfter(direction, part, exchange.runResponse(response));
        }
        return this.#refuse("out_of_order", "Envoy sent response_headers before every request step had run");
      case "resume":
        return this.#resume(direction, part, message);
      case "late":
        if (exchange.chain[direction].length > 0)
          return this.#refuse("out_of_order", `Envoy sent ${kind} without ${direction}_headers`);
        if (direction === "request" || exchange.requestDone) return this.#send(continueAnswer(kind));
        return this.#refuse("out_of_order", `Envoy sent ${kind} before every request step had run`);
      case "continue":
        if (part === "body" && exchange.wasUnannounced(direction, message.body().content))
          return this.#refuse("out_of_order", `Envoy sent ${kind} after headers that were to be all`);
        return this.#send(continueAnswer(kind));
      case "wait":
        this.#waiting ??= [];
        if (this.#waiting.length < MAX_WAITING) this.#waiting.push({ message, at });
        else this.#refuse("out_of_order", "Envoy sent more messages than it may before an answer");
        return;
      case "refuse":
        return this.#refuse("out_of_order", `Envoy sent ${kind} out of order`);
    }
  }

  /** Goes on with a body, or with the trailers that came in its place. */
  #resume(direction: Direction, part: Part, message: EnvoyMessage): void {
    clearTimeout(this.#bodyTimer);
    const { content, endOfStream } = message.body();
    // This may be the first part only, if Envoy was not allowed to obey.
    if (!endOfStream && this.#delivery[direction] !== "whole") return this.#refuseDelivery(direction);
    this.#answerAfter(direction, part, this.#exchange!.resume(direction, content));
  }

  /** Answers a message when the steps it set going have run. */
  #answerAfter(direction: Direction, part: Part, pending: void | Promise<void>): void {
    if (pending === undefined) return this.#answerPart(direction, part);
    this.#afterRun(pending, () => {
      if (!this.#closing) this.#answerPart(direction, part);
    });
  }

  #afterRun(pending: Promise<void>, next: () => void): void {
    this.#record.beginRun();
    pending
      .then(() => {
        this.#record.endRun();
        next();
        this.#record.pauseClock();
      })
      .catch((cause: unknown) => this.#breakOff(cause));
  }

  #answerPart(direction: Direction, part: Part): void {
    const exchange = this.#exchange!;
    if (exchange.denial !== undefined) return this.#deny();
    if (part === "trailers" && exchange.changesLeft(direction))
      return this.#refuseBody(direction, "change_too_late");
    // Whether Envoy may obey is not to be seen: if not, it sends the headers on before the step has run.
    if (exchange.suspended[direction] && this.#delivery[direction] === "streamed")
      return this.#refuseDelivery(direction);
    this.#send(answerTo(exchange, direction, part));
    // The peer may have been given up over it.
    if (this.#finished) return;
    if (exchange.suspended[direction]) {
      this.#phase[direction] = "suspended";
      this.#bodyTimer = setTimeout(() => this.#bodyMissed(direction), this.#context.bodyWaitMs);
    } else {
      this.#phase[direction] = PHASE_AFTER[part];
      if (direction === "response" || exchange.chain.response.length === 0) return this.#end("answered");
      exchange.requestSent();
    }
    if (this.#waiting !== undefined) this.#receiveWaiting(exchange, this.#waiting);
    if (this.#halfClosed && !this.#running()) this.#end("cancelled");
  }

  #bodyMissed(direction: Direction): void {
    try {
      // No message set this going: what policies do about the denial has a time of its own.
      this.#exchange!.messageArrived(performance.now());
      this.#refuseBody(direction, "body_timeout");
    } catch (cause) {
      this.#breakOff(cause);
    }
  }

  #receiveWaiting(exchange: Exchange, waiting: readonly { message: EnvoyMessage; at: number }[]): void {
    this.#waiting = undefined;
    for (const { message, at } of waiting) {
      if (!this.#closing) this.#receive(message, { exchange, at });
    }
  }

  /** Ends an exchange for its body's sake, in answer to a message or, when none came, by itself. */
  #refuseBody(direction: Direction, reason: BodyReason): void {
    this.#closing = true;
    this.#denyAfter(this.#exchange!.refuseBody(direction, reason));
  }

  /** Ends an exchange in which Envoy's messages would have made a step be skipped. */
  #refuse(reason: ReasonCode, message: string): void {
    this.#closing = true;
    this.#context.metrics.protocolErrors(reason).inc();
    this.#denyAfter(this.#exchange!.refuse(500, reason, message));
  }

  #refuseDelivery(direction: Direction): void {
    this.#refuse(
      "unsupported_body_mode",
      `Envoy is set to send the ${direction} body in pieces, use BUFFERED or NONE`,
    );
  }

  #denyAfter(pending: void | Promise<void>): void {
    clearTimeout(this.#bodyTimer);
    if (pending === undefined) return this.#deny();
    this.#afterRun(pending, () => this.#deny());
  }

  /** Ends an exchange that has no chain. */
  #refuseUnrouted(reason: ReasonCode, message: EnvoyMessage): void {
    const errorId = newErrorId();
    const { method } = message.request();
    const misused = reason === "out_of_order" || reason === "unsupported_body_mode";
    if (misused) this.#context.metrics.protocolErrors(reason).inc();
    const status = misused ? 500 : 503;
    const { denials: style, log } = this.#context;
    const fields = { request_id: requestIdIn(message), route: this.#record.route, reason, error_id: errorId };
    log.repeated("warn", "Refused an exchange", fields);
    this.#finishWith(engineDenial(status, reason, { errorId, style }), method);
  }

  #deny(): void {
    const exchange = this.#exchange!;
    if (this.#finished || exchange.denial === undefined) return;
    this.#send(immediateAnswer(exchange.denial, { method: exchange.request.originalMethod, exchange }));
    this.#end("answered");
  }

  /** Ends the exchange after a fault of the engine, or bytes that are no message. Never open. */
  #breakOff(cause: unknown): void {
    if (this.#finished) return;
    const errorId = newErrorId();
    const reason = "internal_error";
    const { denials: style, log, metrics } = this.#context;
    metrics.protocolErrors(reason).inc();
    const requestId = this.#exchange?.requestId ?? "";
    const fields = {
      request_id: requestId,
      route: this.#record.route,
      reason,
      error_id: errorId,
      error: cause,
    };
    log.repeated("error", "Cannot process a message from Envoy", fields);
    const denial = engineDenial(500, reason, { errorId, style });
    if (this.#exchange !== undefined) this.#exchange.denial = denial;
    try {
      this.#finishWith(denial, this.#exchange?.request.originalMethod ?? "");
    } catch {
      // The log has why; where even that cannot be said, nothing may stay behind.
      this.#end("cancelled");
    }
  }

  /** Ends the stream by a denial to which no policy has anything to say. */
  #finishWith(denial: Denial, method: string): void {
    this.#denial = denial;
    this.#send(immediateAnswer(denial, { method }));
    this.#end("answered");
  }

  #send(answer: EncodedAnswer): void {
    if (this.#observed) return;
    if (this.#out.send(answer.bytes, answer.start, answer.end)) keepAnswer(answer);
  }

  #running(): boolean {
    return this.#phase.request === "running" || this.#phase.response === "running" || this.#closing;
  }

  #end(how: "answered" | "cancelled"): void {
    if (this.#finished) return;
    this.#finished = true;
    this.#closing = true;
    clearTimeout(this.#bodyTimer);
    // To end well says "go on": only an exchange that was answered may.
    if (how === "answered") this.#out.end();
    else this.#out.fail("The exchange was given up before its last answer");
    this.#exchange?.end(how);
    this.#exchange?.dropBodies();
    this.#snapshot?.release();
    this.#record.end(how, this.#denial ?? this.#exchange?.denial, this.#exchange);
  }
}

/** Where a direction stands when the answer to such a message is sent. */
const PHASE_AFTER: Readonly<Record<Part, Phase>> = { headers: "open", body: "bodied", trailers: "closed" };

/** RFC 9110 section 15: three digits. */
function isStatus(status: number): boolean {
  return Number.isInteger(status) && status >= 100 && status <= 999;
}

function answerTo(exchange: Exchange, direction: Direction, part: Part): EncodedAnswer {
  if (part === "body") return bodyAnswer(exchange, direction);
  if (part === "trailers") return trailersAnswer(exchange, direction);
  return direction === "request" ? requestAnswer(exchange) : responseAnswer(exchange);
}
