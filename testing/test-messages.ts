import type { Attributes, Client } from "@policy-engine/sdk";
import { type HeaderLine, type HeaderList, headerList } from "../runtime/chain/header-list.ts";
import type { ReceivedRequest, ReceivedResponse } from "../runtime/chain/messages.ts";

type HeaderValue = string | Uint8Array;

/** Headers by name, in any case. A list makes one line of each value; bytes are taken as they are. */
export type HeadersInit = Readonly<Record<string, HeaderValue | readonly HeaderValue[]>>;

/**
 * A body: text, bytes, or a value that is sent as JSON, with `content-type: application/json` unless the headers
 * say another. Bytes are sent as they are, so with a `content-encoding` in the headers they have to be coded
 * already; nothing but bytes may go with one.
 */
export type BodyInit = string | Uint8Array | readonly unknown[] | { readonly [key: string]: unknown };

/** A request as a client sends it. */
export interface TestRequestInit {
  /** Default: `GET`. */
  readonly method?: string;
  /** Path with query. Default: `/`. */
  readonly path?: string;
  /** Default: none. `x-request-id`, if there is one, becomes the request id of the context. */
  readonly headers?: HeadersInit;
  /**
   * Default: none. `content-length` is set to its length unless the headers say that or `transfer-encoding`.
   */
  readonly body?: BodyInit;
  /** The host the client asked for. Default: `example.com`. */
  readonly authority?: string;
  /** Default: `https`. */
  readonly scheme?: string;
  /** The client's end of the connection. Default: address `192.0.2.1`, port 40000. */
  readonly client?: Client;
  /** What Envoy sends beside the request. Default: none. */
  readonly attributes?: Attributes;
  /** Abort it to do what a client does that goes away: the exchange ends as `cancelled`. */
  readonly signal?: AbortSignal;
}

/** A response as the upstream sends it. */
export interface TestResponseInit {
  /** Default: 200. */
  readonly status?: number;
  /** Default: none. */
  readonly headers?: HeadersInit;
  /** As in {@link TestRequestInit}. */
  readonly body?: BodyInit;
  /** As in {@link TestRequestInit}. */
  readonly signal?: AbortSignal;
}

/** From the range that RFC 5737 keeps for documentation. */
const CLIENT: Client = { address: "192.0.2.1", port: 40000 };

/** @private A message as the chain takes it, and the body that follows its headers. */
export interface Received<Message> {
  readonly message: Message;
  readonly content: Uint8Array;
}

/** @private The request as the chain takes it. */
export function receivedRequest(init: TestRequestInit): Received<ReceivedRequest> {
  const { method = "GET", path = "/", authority = "example.com", scheme = "https" } = init;
  const { client = CLIENT, attributes = {} } = init;
  const pseudo = { method: toWire(method), path: toWire(path), authority: toWire(authority), scheme };
  const { lines, content } = linesWithBody(init);
  return { message: { ...pseudo, client, attributes, lines, hasBody: content.length > 0 }, content };
}

/** @private The chain has method, path and authority as Envoy sent them, one character a byte. */
export function toWire(text: string): string {
  return Buffer.from(text, "utf8").toString("latin1");
}

/** @private The way back, for people to read. */
export function fromWire(text: string): string {
  return Buffer.from(text, "latin1").toString("utf8");
}

/** @private The response as the chain takes it, to a request of that method. */
export function receivedResponse(init: TestResponseInit, method: string): Received<ReceivedResponse> {
  const { status = 200 } = init;
  const { lines, content } = linesWithBody(init);
  return { message: { status, lines, hasBody: content.length > 0, method }, content };
}

const encoder = new TextEncoder();

function linesWithBody(init: { readonly headers?: HeadersInit; readonly body?: BodyInit }): {
  readonly lines: HeaderList;
  readonly content: Uint8Array;
} {
  const lines = headerLines(init.headers);
  const { body } = init;
  if (body === undefined) return { lines: headerList(lines), content: new Uint8Array(0) };
  const has = (name: string): boolean => lines.some((line) => line.name === name);
  const isBytes = body instanceof Uint8Array;
  if (!isBytes && has("content-encoding")) {
    throw new TypeError(
      "Cannot send the body: the headers have a content-encoding, bytes that are coded are needed",
    );
  }
  const content = isBytes ? body : encoder.encode(typeof body === "string" ? body : JSON.stringify(body));
  if (!isBytes && typeof body !== "string" && !has("content-type")) {
    lines.push({ name: "content-type", value: "application/json" });
  }
  if (!has("content-length") && !has("transfer-encoding")) {
    lines.push({ name: "content-length", value: String(content.length) });
  }
  return { lines: headerList(lines), content };
}

function headerLines(headers: HeadersInit = {}): HeaderLine[] {
  return Object.entries(headers).flatMap(([name, value]) => {
    if (name.startsWith(":")) {
      throw new TypeError(`Cannot send header "${name}": it is a pseudo-header, use method, path or status`);
    }
    const values = typeof value === "string" || value instanceof Uint8Array ? [value] : value;
    return values.map((value): HeaderLine => ({ name: name.toLowerCase(), value }));
  });
}
