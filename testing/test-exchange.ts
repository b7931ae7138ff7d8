import type { HeadersView, Outcome } from "@policy-engine/sdk";
import { type Denial, denialBody } from "../runtime/chain/denial.ts";
import type { Exchange } from "../runtime/chain/executor.ts";
import { headerList } from "../runtime/chain/header-list.ts";
import { type HeaderEdit, HeaderTable } from "../runtime/chain/header-table.ts";
import type { DynamicMetadata, ResponseMessage } from "../runtime/chain/messages.ts";
import { jsonOf, textOf } from "./message-text.ts";
import type { TestLogLine } from "./recording-logger.ts";
import { fromWire, receivedResponse, type TestResponseInit } from "./test-messages.ts";

/** What Envoy is told to change, by lower-case name: the lines of the header from now on, or null to remove it. */
export type Changes = Readonly<Record<string, readonly string[] | null>>;

/** An answer of the engine to the client, in place of the upstream's. */
export interface TestAnswer {
  readonly status: number;
  readonly headers: HeadersView;
  /** As text; empty where HTTP forbids a body. */
  readonly body: string;
  /** What `respond` was told, or the engine's reason such as `policy_failed`. */
  readonly reason: string;
  readonly grpcStatus: number | undefined;
}

/** The response phase of an exchange, as the client gets to see it. */
export interface TestResponse {
  readonly outcome: Outcome;
  readonly status: number;
  readonly headers: HeadersView;
  /** The body as policies left it; empty where HTTP forbids one. */
  readonly body: Uint8Array;
  /** The body as text (UTF-8), without its content-encoding. */
  text(): string;
  /**
   * The body parsed as JSON.
   * @throws {SyntaxError} If it is not JSON.
   */
  json(): unknown;
  /** Set when a policy or a fault put an answer in the place of the upstream's response. */
  readonly answer: TestAnswer | undefined;
  /** What Envoy is told to change in the upstream's response; `:status` is in it when the status changes. */
  readonly changes: Changes;
  /** Shared metadata as the policies left it. */
  readonly metadata: ReadonlyMap<string, unknown>;
  /** What Envoy is told to keep, of this phase. */
  readonly dynamicMetadata: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
  /** What a policy threw, when the outcome is `failed`. */
  readonly error: unknown;
}

/** @private What an exchange needs of the chain that made it. */
export interface ExchangeHost {
  readonly logs: readonly TestLogLine[];
  readonly exchange: Exchange;
  readonly method: string;
  /** Called once, when nothing more can happen to the exchange. */
  ended(): void;
}

/**
 * An exchange after its request phase: what the upstream would get, or the answer that the client got instead.
 * Go on with {@link TestExchange.response}.
 */
export class TestExchange {
  /** How far it came: `passed` on to the upstream, `denied` by a policy, `failed` by a fault, or `cancelled`. */
  readonly outcome: Outcome;
  readonly requestId: string;
  readonly method: string;
  /** With the query. */
  readonly path: string;
  readonly authority: string;
  readonly scheme: string;
  readonly headers: HeadersView;
  /** The body as policies left it. */
  readonly body: Uint8Array;
  /** Set when the request was denied or failed: nothing went to the upstream. */
  readonly answer: TestAnswer | undefined;
  /** What Envoy is told to change; `:path`, `:method` and `:authority` are in it when they change. */
  readonly changes: Changes;
  /** Whether Envoy is told to choose its route anew. */
  readonly reroute: boolean;
  /** Shared metadata as the request hooks left it. */
  readonly metadata: ReadonlyMap<string, unknown>;
  /** What Envoy is told to keep, of this phase. */
  readonly dynamicMetadata: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
  /** What a policy threw, when the outcome is `failed`. */
  readonly error: unknown;
  readonly #host: ExchangeHost;
  #over = false;
  #responded = false;

  /** @private Made by `TestChain.request`, when the request hooks have run. */
  constructor(host: ExchangeHost, { cancelled, content }: { cancelled: boolean; content: Uint8Array }) {
    const { exchange } = host;
    const { request } = exchange;
    this.#host = host;
    this.outcome = outcomeOf(exchange, cancelled);
    this.requestId = exchange.requestId;
    this.method = fromWire(request.method);
    this.path = fromWire(request.path);
    this.authority = fromWire(request.authority);
    this.scheme = request.scheme;
    this.headers = new HeaderTable(headerList(request.headers.lines()));
    this.body = request.newContent ?? content;
    this.reroute = request.reroute;
    this.answer = exchange.denial && answerOf(exchange.denial, host.method);
    // A denied request goes nowhere, so Envoy is told of none of its changes.
    this.changes = this.outcome === "passed" ? changesOf(request.edits()) : {};
    this.metadata = new Map(exchange.metadata);
    this.dynamicMetadata = takeMetadata(exchange.dynamicMetadata);
    this.error = errorOf(host);
    if (this.outcome !== "passed" || exchange.chain.response.length === 0) this.#end(cancelled);
    else exchange.requestSent();
  }

  /** The body as text (UTF-8), without its content-encoding. */
  text(): string {
    return textOf(this);
  }

  /**
   * The body parsed as JSON.
   * @throws {SyntaxError} If it is not JSON.
   */
  json(): unknown {
    return jsonOf(this);
  }

  /**
   * Runs the response hooks on a response of the upstream, and ends the exchange.
   *
   * @param init The response; 200 without headers if not given.
   * @throws {Error} If nothing went to the upstream, or its response has come already.
   */
  async response(init: TestResponseInit = {}): Promise<TestResponse> {
    const { exchange, method } = this.#host;
    if (this.outcome !== "passed") {
      throw new Error(
        `Cannot run the response: the request was ${this.outcome}, a request that passed is needed`,
      );
    }
    if (this.#responded) {
      throw new Error("Cannot run the response: it has run, another request is needed");
    }
    if (this.#over && exchange.chain.response.length > 0) {
      throw new Error("Cannot run the response: the exchange was cancelled, another request is needed");
    }
    this.#responded = true;
    const { message, content } = receivedResponse(init, method);
    const begin = () => exchange.runResponse(message);
    const cancelled = await run(exchange, { content, signal: init.signal, begin });
    this.#end(cancelled);
    const { denial } = exchange;
    const answer = denial && answerOf(denial, method);
    const response = exchange.response!;
    const headers = answer?.headers ?? new HeaderTable(headerList(response.headers.lines()));
    const body = denial === undefined ? bodyLeft(response, content) : denialBody(denial, method);
    return {
      outcome: outcomeOf(exchange, cancelled),
      status: answer?.status ?? response.status,
      headers,
      body,
      text: () => textOf({ headers, body }),
      json: () => jsonOf({ headers, body }),
      answer,
      changes: answer === undefined && !cancelled ? changesOf(response.edits()) : {},
      metadata: new Map(exchange.metadata),
      dynamicMetadata: takeMetadata(exchange.dynamicMetadata),
      error: errorOf(this.#host),
    };
  }

  /** Ends the exchange as if client or Envoy had gone away before the response. */
  cancel(): void {
    this.#end(true);
  }

  #end(cancelled: boolean): void {
    this.#over = true;
    this.#host.exchange.end(cancelled ? "cancelled" : "answered");
    this.#host.ended();
  }
}

/** @private How a direction is run: what begins it, and the body that its steps may wait for. */
export interface DirectionRun {
  readonly content: Uint8Array;
  readonly signal: AbortSignal | undefined;
  begin(): void | Promise<void>;
}

/** @private Runs hooks until they are done or the client goes away. True when it went away. */
export async function run(exchange: Exchange, { content, signal, begin }: DirectionRun): Promise<boolean> {
  if (signal?.aborted) exchange.end("cancelled");
  const { promise: aborted, resolve } = Promise.withResolvers<void>();
  const onAbort = () => resolve();
  signal?.addEventListener("abort", onAbort);
  const hooks = async (): Promise<void> => {
    // A hook that is synchronous stays so.
    const pending = begin();
    if (pending !== undefined) await pending;
    const { suspended } = exchange;
    const direction = suspended.request ? "request" : "response";
    if (suspended[direction] && !signal?.aborted) await exchange.resume(direction, content);
  };
  await Promise.race([hooks(), aborted]);
  signal?.removeEventListener("abort", onAbort);
  return signal?.aborted ?? false;
}

/** What the client gets of a response's body. */
function bodyLeft(response: ResponseMessage, content: Uint8Array): Uint8Array {
  return response.bodiless ? new Uint8Array(0) : (response.newContent ?? content);
}

function outcomeOf(exchange: Exchange, cancelled: boolean): Outcome {
  return cancelled ? "cancelled" : (exchange.denial?.outcome ?? "passed");
}

function answerOf(denial: Denial, method: string): TestAnswer {
  return {
    status: denial.response.status,
    headers: new HeaderTable(headerList(denial.response.headers.lines())),
    body: new TextDecoder().decode(denialBody(denial, method)),
    reason: denial.reason,
    grpcStatus: denial.grpcStatus,
  };
}

function changesOf(edits: readonly HeaderEdit[]): Changes {
  const changes: Record<string, string[] | null> = {};
  for (const edit of edits) {
    if (edit.kind === "remove") {
      changes[edit.name] = null;
      continue;
    }
    const value = Buffer.from(edit.value as string).toString();
    if (edit.kind === "overwrite") changes[edit.name] = [value];
    else changes[edit.name]?.push(value);
  }
  return changes;
}

function takeMetadata(metadata: DynamicMetadata): DynamicMetadata {
  const taken = { ...metadata };
  for (const namespace of Object.keys(metadata)) delete metadata[namespace];
  return taken;
}

/** The engine tells a policy's error to the log only. */
function errorOf({ exchange, logs }: ExchangeHost): unknown {
  if (exchange.denial?.outcome !== "failed") return undefined;
  const { requestId } = exchange;
  return logs.findLast(({ fields }) => fields.request_id === requestId && "error" in fields)?.fields.error;
}
