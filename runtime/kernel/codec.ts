// Bytes of a ProcessingRequest to what the kernel needs of it, and answers to bytes.
import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { HeaderLine } from "../chain/header-table.ts";
import type { ReceivedRequest, ReceivedResponse } from "../chain/messages.ts";
import type { HeaderMap } from "../gen/envoy/config/core/v3/base_pb.ts";
import { ProcessingMode_BodySendMode } from "../gen/envoy/extensions/filters/http/ext_proc/v3/processing_mode_pb.ts";
import {
  type HttpHeaders,
  type ProcessingRequest,
  ProcessingRequestSchema,
  type ProcessingResponse,
  ProcessingResponseSchema,
} from "../gen/envoy/service/ext_proc/v3/external_processor_pb.ts";
import type { MessageKind } from "./phases.ts";

/** The key under which Envoy sends its attributes. */
const ATTRIBUTES_KEY = "envoy.filters.http.ext_proc";

const KINDS = {
  requestHeaders: "request_headers",
  requestBody: "request_body",
  requestTrailers: "request_trailers",
  responseHeaders: "response_headers",
  responseBody: "response_body",
  responseTrailers: "response_trailers",
} as const satisfies Record<string, MessageKind>;

/** How bodies come: whole or not at all; perhaps only in part; or in pieces, behind headers that are gone by then. */
export type BodyDelivery = "whole" | "partial" | "streamed";

/** One message from Envoy. */
export class EnvoyMessage {
  /** Undefined: a kind that the engine does not know. */
  readonly kind: MessageKind | undefined;
  readonly #message: ProcessingRequest;

  /** @throws {Error} If the bytes are not a ProcessingRequest. */
  constructor(bytes: Uint8Array) {
    this.#message = fromBinary(ProcessingRequestSchema, bytes);
    const { case: kind } = this.#message.request;
    this.kind = kind === undefined ? undefined : KINDS[kind];
  }

  /** Envoy neither waits for nor wants an answer. */
  get observed(): boolean {
    return this.#message.observabilityMode;
  }

  /** Whether bodies would be sent in full duplex (or as gRPC messages): what is not sent back is lost. */
  get fullDuplex(): boolean {
    const config = this.#message.protocolConfig;
    if (config === undefined) return false;
    return [config.requestBodyMode, config.responseBodyMode].some(
      (mode) =>
        mode === ProcessingMode_BodySendMode.FULL_DUPLEX_STREAMED ||
        mode === ProcessingMode_BodySendMode.GRPC,
    );
  }

  /** How bodies of a direction come, if not told otherwise by an answer. Known of the first message only. */
  delivery(direction: "request" | "response"): BodyDelivery {
    const config = this.#message.protocolConfig;
    const mode = direction === "request" ? config?.requestBodyMode : config?.responseBodyMode;
    if (mode === ProcessingMode_BodySendMode.STREAMED) return "streamed";
    const whole = mode === ProcessingMode_BodySendMode.NONE || mode === ProcessingMode_BodySendMode.BUFFERED;
    return whole ? "whole" : "partial";
  }

  /** The bytes of a body message; of any other, none. */
  body(): { readonly content: Uint8Array; readonly endOfStream: boolean } {
    const { request } = this.#message;
    if (request.case !== "requestBody" && request.case !== "responseBody") return NO_BODY;
    return { content: request.value.body, endOfStream: request.value.endOfStream };
  }

  /** An attribute that Envoy was told to send. */
  attribute(name: string): string | undefined {
    const value = this.#message.attributes[ATTRIBUTES_KEY]?.[name];
    return typeof value === "string" ? value : undefined;
  }

  /** A text in the dynamic metadata that Envoy was told to forward. */
  metadata(namespace: string, key: string): string | undefined {
    const value = this.#message.metadataContext?.filterMetadata[namespace]?.[key];
    return typeof value === "string" ? value : undefined;
  }

  /** The request of a `request_headers` message; of any other, a request of which only attributes are known. */
  request(): ReceivedRequest {
    const { request } = this.#message;
    const headers = request.case === "requestHeaders" ? request.value : undefined;
    const { pseudo, lines } = headers === undefined ? NOTHING : split(headers);
    return {
      method: pseudo.get(":method") ?? "",
      path: pseudo.get(":path") ?? "",
      authority: pseudo.get(":authority") ?? "",
      scheme: pseudo.get(":scheme") ?? "",
      lines,
      client: clientOf(this.attribute("source.address")),
      attributes: this.#attributes(),
      hasBody: headers?.endOfStream === false,
    };
  }

  /** The response of a `response_headers` message, to a request of this method. */
  response(method: string): ReceivedResponse {
    const { request } = this.#message;
    const headers = request.case === "responseHeaders" ? request.value : undefined;
    const { pseudo, lines } = headers === undefined ? NOTHING : split(headers);
    const hasBody = headers?.endOfStream === false;
    return { status: Number(pseudo.get(":status") ?? 0), lines, hasBody, method };
  }

  #attributes(): Record<string, string | number | boolean> {
    const attributes: Record<string, string | number | boolean> = Object.create(null);
    for (const [name, value] of Object.entries(this.#message.attributes[ATTRIBUTES_KEY] ?? {})) {
      if (typeof value === "string" || typeof value === "number" || typeof value === "boolean") {
        attributes[name] = value;
      }
    }
    return attributes;
  }
}

/** The bytes of an answer. */
export function encodeAnswer(answer: MessageInitShape<typeof ProcessingResponseSchema>): Uint8Array {
  return toBinary(ProcessingResponseSchema, create(ProcessingResponseSchema, answer));
}

/** An answer, in the form that {@link encodeAnswer} takes. */
export type Answer = MessageInitShape<typeof ProcessingResponseSchema>;
export type { ProcessingResponse };

interface SplitHeaders {
  readonly pseudo: ReadonlyMap<string, string>;
  readonly lines: readonly HeaderLine[];
}

const NO_BODY = { content: new Uint8Array(0), endOfStream: true };
const NOTHING: SplitHeaders = { pseudo: new Map(), lines: [] };
const encoder = new TextEncoder();

function split(message: HttpHeaders): SplitHeaders {
  const pseudo = new Map<string, string>();
  const lines: HeaderLine[] = [];
  for (const { key, value, rawValue } of (message.headers as HeaderMap | undefined)?.headers ?? []) {
    // Envoy fills raw_value; other data planes may fill value.
    const bytes = rawValue.length === 0 && value !== "" ? encoder.encode(value) : rawValue;
    if (key.startsWith(":")) pseudo.set(key, Buffer.from(bytes).toString("latin1"));
    else lines.push(new HeaderLine(key.toLowerCase(), bytes));
  }
  return { pseudo, lines };
}

/** `10.0.0.1:4711`, `[::1]:4711`; anything else (a pipe) is an address without a port. */
function clientOf(source: string | undefined): ReceivedRequest["client"] {
  if (source === undefined) return { address: "", port: 0 };
  const match = /^(?:\[(.+)\]|([^:]+)):(\d{1,5})$/.exec(source);
  return match === null
    ? { address: source, port: 0 }
    : { address: match[1] ?? match[2] ?? "", port: Number(match[3]) };
}
