// Drives the kernel without a socket: messages as Envoy would encode them go in, answers come out decoded.
import { create, fromBinary, type JsonObject, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import type { Policy } from "@policy-engine/sdk";
import { BodyMemory } from "../../runtime/chain/body-memory.ts";
import type { Chain, StepCondition } from "../../runtime/chain/chain.ts";
import { compileChain } from "../../runtime/chain/compile.ts";
import { type DenialStyle, PLAIN_DENIALS } from "../../runtime/chain/denial.ts";
import type { BodySettings } from "../../runtime/chain/exchange-bodies.ts";
import { type MessageBudget, messageBudget } from "../../runtime/chain/message-budget.ts";
import type { Snapshot } from "../../runtime/config/snapshot.ts";
import {
  type HeaderMutation,
  ProcessingRequestSchema,
  type ProcessingResponse,
  ProcessingResponseSchema,
} from "../../runtime/gen/envoy/service/ext_proc/v3/external_processor_pb.ts";
import type { MessageKind } from "../../runtime/kernel/phases.ts";
import { createProcessor } from "../../runtime/kernel/processor.ts";
import type { RoutingConfig } from "../../runtime/kernel/routes.ts";
import type { StreamContext } from "../../runtime/kernel/stream.ts";
import { createEngineMetrics } from "../../runtime/observability/engine-metrics.ts";
import { ExchangeLog } from "../../runtime/observability/exchange-log.ts";
import { createLogger, type EngineLogger } from "../../runtime/observability/log.ts";
import type { PolicyDefinition } from "../../runtime/policy/definition.ts";
import type { IncomingStream, StreamAcceptor } from "../../runtime/transport/transport.ts";

/** Headers as pairs; a value may be bytes that are no text. */
export type HeaderPairs = readonly (readonly [string, string | Uint8Array])[];

/** A policy at a place of a chain in a test. */
export interface TestStep {
  readonly name?: string;
  readonly policy: Policy;
  readonly appliesToDenials?: boolean;
  readonly requestBody?: "none" | "buffered" | "raw";
  readonly responseBody?: "none" | "buffered" | "raw";
  readonly onUnbufferable?: "deny" | "skip";
  readonly condition?: StepCondition;
  readonly conditionError?: "skip" | "deny";
  readonly failureMode?: "closed" | "open";
  readonly timeoutMs?: number;
}

type RequestInit = MessageInitShape<typeof ProcessingRequestSchema>;

const CASES = {
  request_headers: "requestHeaders",
  request_body: "requestBody",
  request_trailers: "requestTrailers",
  response_headers: "responseHeaders",
  response_body: "responseBody",
  response_trailers: "responseTrailers",
} as const;

/** A GET for `/`, as Envoy's first message shows it. */
export const GET: HeaderPairs = [
  [":method", "GET"],
  [":scheme", "http"],
  [":authority", "example.test"],
  [":path", "/"],
];

/** The bytes of a message from Envoy. */
export function envoyMessage(
  kind: MessageKind,
  options: {
    headers?: HeaderPairs;
    endOfStream?: boolean;
    body?: string | Uint8Array;
    extra?: RequestInit;
  } = {},
): Uint8Array {
  const { headers = [], endOfStream = false, body = "", extra = {} } = options;
  const lines = headers.map(([key, value]) => ({ key, rawValue: Buffer.from(value as string) }));
  const value = kind.endsWith("headers")
    ? { headers: { headers: lines }, endOfStream }
    : kind.endsWith("body")
      ? { body: Buffer.from(body), endOfStream }
      : { trailers: { headers: lines } };
  const request = { case: CASES[kind], value } as NonNullable<RequestInit["request"]>;
  return toBinary(
    ProcessingRequestSchema,
    create(ProcessingRequestSchema, { ...extra, request } as RequestInit),
  );
}

/** A chain of test policies, compiled as the engine compiles it. */
export function testChain(
  steps: readonly TestStep[],
  options: {
    route?: string;
    responseOrder?: "listed" | "reversed";
    metadata?: Record<string, string>;
    bodyBytes?: number;
  } = {},
): Chain {
  const { route = "test", responseOrder = "listed", metadata = {}, bodyBytes } = options;
  const settings = steps.map((step, index) => ({
    instance: {
      definition: definition(step, index),
      policy: step.policy,
      log: SILENT,
      close: () => Promise.resolve(),
    },
    onUnbufferable: step.onUnbufferable,
    condition: step.condition,
    conditionError: step.conditionError,
    failureMode: step.failureMode,
    timeoutMs: step.timeoutMs,
  }));
  const metrics = createEngineMetrics();
  return compileChain({ route, steps: settings, responseOrder, metadata, bodyBytes, metrics });
}

/** What a driver's engine is bounded by. */
export interface DriverOptions {
  readonly ready?: boolean;
  readonly bodyBytes?: number;
  readonly bodyMemory?: number;
  readonly bodyWaitMs?: number;
  /** Default: no bound. */
  readonly messageTimeoutMs?: number;
  /** Default: text, and no metadata. */
  readonly denials?: DenialStyle;
  /** Default: a silent one. */
  readonly log?: EngineLogger;
  /** Of exchanges that are logged at info. Default: 0. */
  readonly sampleRate?: number;
}

/** An engine's kernel with one route, `test`, unless told otherwise. */
export class KernelDriver {
  readonly metrics = createEngineMetrics();
  readonly #routes: ReadonlyMap<string, Chain | "unavailable">;
  readonly #config: RoutingConfig;
  readonly #ready: boolean;
  readonly #bodies: BodySettings;
  readonly #bodyWaitMs: number;
  readonly #budget: MessageBudget;
  readonly #says: Pick<StreamContext, "denials" | "log" | "exchanges">;
  /** What all bodies take. */
  readonly memory: BodyMemory;
  /** How many streams hold the snapshot. */
  retained = 0;

  constructor(
    routes: Chain | Record<string, Chain | "unavailable">,
    options: Partial<RoutingConfig> & DriverOptions = {},
  ) {
    const {
      ready = true,
      bodyBytes = 1024 * 1024,
      bodyMemory = 64 * 1024 * 1024,
      bodyWaitMs = 30_000,
      messageTimeoutMs = Number.POSITIVE_INFINITY,
      denials = PLAIN_DENIALS,
      log = SILENT,
      sampleRate = 0,
      ...config
    } = options;
    this.memory = new BodyMemory(bodyMemory, this.metrics.bodyMemory);
    this.#bodies = { limits: { maxBytes: bodyBytes, maxRatio: 100 }, memory: this.memory };
    this.#bodyWaitMs = bodyWaitMs;
    this.#says = { denials, log, exchanges: new ExchangeLog(log, sampleRate) };
    this.#budget = messageBudget(messageTimeoutMs);
    this.#routes =
      "steps" in routes && Array.isArray(routes.steps)
        ? new Map([["test", routes as Chain]])
        : new Map(Object.entries(routes as Record<string, Chain | "unavailable">));
    this.#config = { onUnknownRoute: "allow", onMissingRouteKey: "deny", ...config };
    this.#ready = ready;
  }

  /** What the kernel does with each stream. */
  acceptor(): StreamAcceptor {
    const snapshot: Pick<Snapshot, "lookup" | "retain" | "release"> = {
      lookup: (key) => {
        const state = this.#routes.get(key);
        if (state === undefined) return undefined;
        return state === "unavailable" ? { kind: "unavailable" } : { kind: "chain", chain: state };
      },
      retain: () => void this.retained++,
      release: () => void this.retained--,
    };
    return createProcessor({
      store: { current: this.#ready ? (snapshot as Snapshot) : undefined },
      config: this.#config,
      bodies: this.#bodies,
      bodyWaitMs: this.#bodyWaitMs,
      budget: this.#budget,
      ...this.#says,
      metrics: this.metrics,
    });
  }

  /** Opens a stream. `route` is the gRPC metadata; null leaves it out. */
  open(route: string | null = "test"): DrivenStream {
    const stream = new DrivenStream();
    stream.incoming = this.acceptor()(
      { get: (name) => (name === "x-route-name" ? (route ?? undefined) : undefined) },
      {
        // The transport takes a copy where nothing waits for the peer, and so does this one.
        send: (bytes, start, end) => {
          stream.sent(new Uint8Array(bytes.subarray(start, end)));
          return false;
        },
        end: () => {
          stream.ended = true;
        },
        fail: () => {
          stream.failed = true;
        },
      },
    );
    return stream;
  }
}

/** One stream, seen from Envoy's side. */
export class DrivenStream {
  incoming!: IncomingStream;
  readonly answers: ProcessingResponse[] = [];
  ended = false;
  failed = false;
  /** Sent after the end or after an immediate response: Envoy would answer 500. */
  stray = 0;

  sent(bytes: Uint8Array): void {
    if (this.ended || this.failed || this.last?.response.case === "immediateResponse") this.stray++;
    this.answers.push(fromBinary(ProcessingResponseSchema, bytes));
  }

  get last(): ProcessingResponse | undefined {
    return this.answers.at(-1);
  }

  /** Sends a message; asynchronous hooks may still be running when it returns. */
  send(kind: MessageKind, options: Parameters<typeof envoyMessage>[1] = {}): this {
    const headers =
      options.headers ??
      (kind === "request_headers" ? GET : kind === "response_headers" ? [[":status", "200"] as const] : []);
    this.incoming.message(envoyMessage(kind, { ...options, headers }));
    return this;
  }

  /** What the last answer tells Envoy to do to headers: `-name`, `name=value`, `name+=value`. */
  get edits(): string[] {
    return this.editsOf(this.answers.length - 1);
  }

  /** The same of the answer at a place. */
  editsOf(index: number): string[] {
    const { response } = this.answers[index] ?? {};
    const value = response?.value as {
      headers?: HeaderMutation;
      response?: { headerMutation?: HeaderMutation };
    };
    const mutation = response?.case === "immediateResponse" ? value.headers : value?.response?.headerMutation;
    return [
      ...(mutation?.removeHeaders ?? []).map((name) => `-${name}`),
      ...(mutation?.setHeaders ?? []).map(
        ({ header, append }) =>
          `${header?.key}${append === true ? "+=" : "="}${Buffer.from(header?.rawValue ?? []).toString("latin1")}`,
      ),
    ];
  }

  /** Status, body and details of an immediate response. */
  get denial(): { status: number; body: string; details: string; grpcStatus?: number } | undefined {
    const { response } = this.last ?? {};
    if (response?.case !== "immediateResponse") return undefined;
    const { status, body, details, grpcStatus } = response.value;
    return {
      status: status?.code ?? 0,
      body: Buffer.from(body).toString(),
      details,
      ...(grpcStatus && { grpcStatus: grpcStatus.status }),
    };
  }

  /** The bytes of an immediate response's body; none of any other answer. */
  get denialBody(): Uint8Array {
    const { response } = this.last ?? {};
    return response?.case === "immediateResponse" ? response.value.body : new Uint8Array(0);
  }

  get dynamicMetadata(): JsonObject | undefined {
    return this.last?.dynamicMetadata;
  }
}

/** Lets promises that are ready run. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await Promise.resolve();
}

export const SILENT = createLogger({ level: "error", format: "json", write: () => {} });

function definition(step: TestStep, index: number): PolicyDefinition {
  return {
    name: step.name ?? `step-${index}`,
    version: "v1.0.0",
    description: "",
    sdk: undefined,
    supportsRequestPhase: undefined,
    supportsResponsePhase: undefined,
    requiresRequestBody: step.requestBody ?? "none",
    requiresResponseBody: step.responseBody ?? "none",
    failureMode: "closed",
    conditionError: "skip",
    appliesToDenials: step.appliesToDenials ?? false,
    authentication: false,
    parameters: { type: "object" },
  };
}
