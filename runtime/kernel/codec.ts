// Bytes of a ProcessingRequest to what the kernel needs of it. One pass finds the parts and reads the small ones;
// headers, attributes and metadata are read when they are asked for. Unknown fields are skipped, at any depth.
import type { ReceivedRequest, ReceivedResponse } from "../chain/messages.ts";
import type { MessageKind } from "./phases.ts";
import { NO_HEADERS, type ReceivedHeaders, readHeaders } from "./wire/read-headers.ts";
import { enterEntry, readScalars, type Scalar } from "./wire/read-struct.ts";
import { LENGTH, VARINT, WireReader } from "./wire/wire-reader.ts";

/** The key under which Envoy sends its attributes. */
const ATTRIBUTES_KEY = "envoy.filters.http.ext_proc";

/** The kinds of a message by their field numbers, 2 to 7. */
const KINDS: readonly (MessageKind | undefined)[] = [
  undefined,
  undefined,
  "request_headers",
  "response_headers",
  "request_body",
  "response_body",
  "request_trailers",
  "response_trailers",
];
const FIRST_KIND = (2 << 3) | LENGTH;
const LAST_KIND = (7 << 3) | LENGTH;
const METADATA_CONTEXT = (8 << 3) | LENGTH;
const ATTRIBUTES = (9 << 3) | LENGTH;
const OBSERVABILITY_MODE = (10 << 3) | VARINT;
const PROTOCOL_CONFIG = (11 << 3) | LENGTH;
/** Of ProtocolConfiguration. */
const REQUEST_BODY_MODE = (1 << 3) | VARINT;
const RESPONSE_BODY_MODE = (2 << 3) | VARINT;
/** Of HttpBody. */
const BODY = (1 << 3) | LENGTH;
const END_OF_STREAM = (2 << 3) | VARINT;
/** Of Metadata. */
const FILTER_METADATA = (1 << 3) | LENGTH;

/** BodySendMode of Envoy's ProcessingMode. */
export const BODY_SEND_MODE = {
  none: 0,
  streamed: 1,
  buffered: 2,
  fullDuplexStreamed: 4,
  grpc: 5,
} as const;

/** How bodies come: whole or not at all; perhaps only in part; or in pieces, behind headers that are gone by then. */
export type BodyDelivery = "whole" | "partial" | "streamed";

/** One message from Envoy. Its bytes must stay as they are. */
export class EnvoyMessage {
  /** Undefined: a kind that the engine does not know. */
  readonly kind: MessageKind | undefined;
  /** Envoy neither waits for nor wants an answer. */
  readonly observed: boolean = false;
  readonly #bytes: Uint8Array;
  /** The part that the kind names. */
  readonly #part: Uint8Array | undefined;
  readonly #partStart: number = 0;
  readonly #partEnd: number = 0;
  /** Starts and ends. */
  readonly #metadata: readonly number[] | undefined;
  readonly #attributeEntries: readonly number[] | undefined;
  readonly #hasProtocol: boolean = false;
  readonly #requestBodyMode: number = BODY_SEND_MODE.none;
  readonly #responseBodyMode: number = BODY_SEND_MODE.none;
  #attributes: Readonly<Record<string, Scalar>> | undefined;
  #headers: ReceivedHeaders | undefined;

  /** @throws {WireError} If the bytes are not a ProcessingRequest. */
  constructor(bytes: Uint8Array, start = 0, end: number = bytes.length) {
    this.#bytes = bytes;
    const reader = new WireReader(bytes, start, end);
    let metadata: number[] | undefined;
    let attributes: number[] | undefined;
    while (reader.more) {
      const tag = reader.tag();
      if (tag >= FIRST_KIND && tag <= LAST_KIND && (tag & 7) === LENGTH) {
        const kind = KINDS[tag >>> 3];
        const partEnd = reader.end();
        // Of several the last counts, and two of a kind are one: so protobuf has it.
        if (kind === this.kind && this.#part !== undefined) {
          const before = this.#part.subarray(this.#partStart, this.#partEnd);
          this.#part = Buffer.concat([before, bytes.subarray(reader.pos, partEnd)]);
          this.#partStart = 0;
          this.#partEnd = this.#part.length;
        } else {
          this.#part = bytes;
          this.#partStart = reader.pos;
          this.#partEnd = partEnd;
        }
        this.kind = kind;
        reader.pos = partEnd;
      } else if (tag === ATTRIBUTES) {
        attributes ??= [];
        takePlace(reader, attributes);
      } else if (tag === METADATA_CONTEXT) {
        metadata ??= [];
        takePlace(reader, metadata);
      } else if (tag === OBSERVABILITY_MODE) this.observed = reader.bool();
      else if (tag === PROTOCOL_CONFIG) {
        reader.limit = reader.end();
        this.#hasProtocol = true;
        while (reader.more) {
          const field = reader.tag();
          if (field === REQUEST_BODY_MODE) this.#requestBodyMode = reader.varint();
          else if (field === RESPONSE_BODY_MODE) this.#responseBodyMode = reader.varint();
          else reader.skip(field);
        }
        reader.limit = end;
      } else reader.skip(tag);
    }
    this.#metadata = metadata;
    this.#attributeEntries = attributes;
  }

  /** Whether bodies would be sent in full duplex (or as gRPC messages): what is not sent back is lost. */
  get fullDuplex(): boolean {
    return isFullDuplex(this.#requestBodyMode) || isFullDuplex(this.#responseBodyMode);
  }

  /** How bodies of a direction come, if not told otherwise by an answer. Known of the first message only. */
  delivery(direction: "request" | "response"): BodyDelivery {
    const mode = direction === "request" ? this.#requestBodyMode : this.#responseBodyMode;
    if (mode === BODY_SEND_MODE.streamed) return "streamed";
    const whole = mode === BODY_SEND_MODE.none || mode === BODY_SEND_MODE.buffered;
    return whole && this.#hasProtocol ? "whole" : "partial";
  }

  /** The bytes of a body message; of any other, none. */
  body(): { readonly content: Uint8Array; readonly endOfStream: boolean } {
    if (this.#part === undefined || (this.kind !== "request_body" && this.kind !== "response_body")) {
      return NO_BODY;
    }
    const reader = new WireReader(this.#part, this.#partStart, this.#partEnd);
    let content = NO_BODY.content;
    let endOfStream = false;
    while (reader.more) {
      const tag = reader.tag();
      if (tag === BODY) {
        const end = reader.end();
        content = reader.bytes.subarray(reader.pos, end);
        reader.pos = end;
      } else if (tag === END_OF_STREAM) endOfStream = reader.bool();
      else reader.skip(tag);
    }
    return { content, endOfStream };
  }

  /** An attribute that Envoy was told to send. */
  attribute(name: string): string | undefined {
    const value = this.attributes()[name];
    return typeof value === "string" ? value : undefined;
  }

  /** A text in the dynamic metadata that Envoy was told to forward. */
  metadata(namespace: string, key: string): string | undefined {
    const scalars: Record<string, Scalar> = Object.create(null);
    for (const reader of this.#readersOf(this.#metadata)) {
      while (reader.more) {
        const tag = reader.tag();
        if (tag === FILTER_METADATA) readNamed(reader, namespace, scalars);
        else reader.skip(tag);
      }
    }
    const value = scalars[key];
    return typeof value === "string" ? value : undefined;
  }

  /** The request of a `request_headers` message; of any other, a request of which only attributes are known. */
  request(): ReceivedRequest {
    return new EnvoyRequest(this, this.#headersOf("request_headers") ?? NO_HEADERS);
  }

  /** The response of a `response_headers` message, to a request of this method. */
  response(method: string): ReceivedResponse {
    const headers = this.#headersOf("response_headers") ?? NO_HEADERS;
    const status = Number(headers.pseudo(":status"));
    return { status, lines: headers, hasBody: !headers.endOfStream, method };
  }

  /** Every scalar attribute that Envoy was told to send. */
  attributes(): Readonly<Record<string, Scalar>> {
    if (this.#attributes === undefined) {
      const scalars: Record<string, Scalar> = Object.create(null);
      for (const reader of this.#readersOf(this.#attributeEntries)) {
        if (enterEntry(reader, ATTRIBUTES_KEY)) replaceScalars(reader, scalars);
      }
      this.#attributes = scalars;
    }
    return this.#attributes;
  }

  #headersOf(kind: MessageKind): ReceivedHeaders | undefined {
    if (this.kind !== kind || this.#part === undefined) return undefined;
    this.#headers ??= readHeaders(new WireReader(this.#part, this.#partStart, this.#partEnd));
    return this.#headers;
  }

  #readersOf(places: readonly number[] = []): WireReader[] {
    const readers: WireReader[] = [];
    for (let at = 0; at < places.length; at += 2) {
      readers.push(new WireReader(this.#bytes, places[at], places[at + 1]));
    }
    return readers;
  }
}

/** A request whose parts are made when they are asked for. */
class EnvoyRequest implements ReceivedRequest {
  readonly #message: EnvoyMessage;
  readonly #headers: ReceivedHeaders;
  #method: string | undefined;
  #path: string | undefined;
  #client: ReceivedRequest["client"] | undefined;

  constructor(message: EnvoyMessage, headers: ReceivedHeaders) {
    this.#message = message;
    this.#headers = headers;
  }

  get method(): string {
    this.#method ??= this.#headers.pseudo(":method");
    return this.#method;
  }

  get path(): string {
    this.#path ??= this.#headers.pseudo(":path");
    return this.#path;
  }

  get authority(): string {
    return this.#headers.pseudo(":authority");
  }

  get scheme(): string {
    return this.#headers.pseudo(":scheme");
  }

  get lines(): ReceivedRequest["lines"] {
    return this.#headers;
  }

  get client(): ReceivedRequest["client"] {
    this.#client ??= clientOf(this.#message.attribute("source.address"));
    return this.#client;
  }

  get attributes(): ReceivedRequest["attributes"] {
    return this.#message.attributes();
  }

  get hasBody(): boolean {
    return !this.#headers.endOfStream;
  }
}

const NO_BODY: { readonly content: Uint8Array; readonly endOfStream: boolean } = {
  content: new Uint8Array(0),
  endOfStream: true,
};

function isFullDuplex(mode: number): boolean {
  return mode === BODY_SEND_MODE.fullDuplexStreamed || mode === BODY_SEND_MODE.grpc;
}

/** Notes where the record that begins here starts and ends. */
function takePlace(reader: WireReader, places: number[]): void {
  const end = reader.end();
  places.push(reader.pos, end);
  reader.pos = end;
}

/** Reads the map entry that begins here if it is that one. */
function readNamed(reader: WireReader, name: string, scalars: Record<string, Scalar>): void {
  const { limit } = reader;
  const end = reader.end();
  reader.limit = end;
  if (enterEntry(reader, name)) replaceScalars(reader, scalars);
  reader.pos = end;
  reader.limit = limit;
}

/** An entry takes the place of one with the same key. */
function replaceScalars(reader: WireReader, scalars: Record<string, Scalar>): void {
  for (const name of Object.keys(scalars)) delete scalars[name];
  readScalars(reader, scalars);
}

/** `10.0.0.1:4711`, `[::1]:4711`; anything else (a pipe) is an address without a port. */
function clientOf(source: string | undefined): ReceivedRequest["client"] {
  if (source === undefined) return { address: "", port: 0 };
  const match = /^(?:\[(.+)\]|([^:]+)):(\d{1,5})$/.exec(source);
  return match === null
    ? { address: source, port: 0 }
    : { address: match[1] ?? match[2] ?? "", port: Number(match[3]) };
}
