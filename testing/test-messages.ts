import type { Attributes, Client } from "@policy-engine/sdk";
import { HeaderLine } from "../runtime/chain/header-table.ts";
import type { ReceivedRequest, ReceivedResponse } from "../runtime/chain/messages.ts";

type HeaderValue = string | Uint8Array;

/** Headers by name, in any case. A list makes one line of each value; bytes are taken as they are. */
export type HeadersInit = Readonly<Record<string, HeaderValue | readonly HeaderValue[]>>;

/** A request as a client sends it. */
export interface TestRequestInit {
  /** Default: `GET`. */
  readonly method?: string;
  /** Path with query. Default: `/`. */
  readonly path?: string;
  /** Default: none. `x-request-id`, if there is one, becomes the request id of the context. */
  readonly headers?: HeadersInit;
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
  readonly signal?: AbortSignal;
}

/** From the range that RFC 5737 keeps for documentation. */
const CLIENT: Client = { address: "192.0.2.1", port: 40000 };

/** @private The request as the chain takes it. */
export function receivedRequest(init: TestRequestInit): ReceivedRequest {
  const { method = "GET", path = "/", authority = "example.com", scheme = "https" } = init;
  const { client = CLIENT, attributes = {}, headers } = init;
  const pseudo = { method: toWire(method), path: toWire(path), authority: toWire(authority), scheme };
  return { ...pseudo, client, attributes, lines: headerLines(headers) };
}

/** @private The chain has method, path and authority as Envoy sent them, one character a byte. */
export function toWire(text: string): string {
  return Buffer.from(text, "utf8").toString("latin1");
}

/** @private The way back, for people to read. */
export function fromWire(text: string): string {
  return Buffer.from(text, "latin1").toString("utf8");
}

/** @private The response as the chain takes it. */
export function receivedResponse({ status = 200, headers }: TestResponseInit): ReceivedResponse {
  return { status, lines: headerLines(headers) };
}

function headerLines(headers: HeadersInit = {}): HeaderLine[] {
  return Object.entries(headers).flatMap(([name, value]) => {
    if (name.startsWith(":")) {
      throw new TypeError(`Cannot send header "${name}": it is a pseudo-header, use method, path or status`);
    }
    const values = typeof value === "string" || value instanceof Uint8Array ? [value] : value;
    return values.map((text) => new HeaderLine(name.toLowerCase(), text));
  });
}
