import type { Client, OriginalRequest } from "@policy-engine/sdk";
import { type HeaderEdit, type HeaderLine, HeaderTable } from "./header-table.ts";

/**
 * Pseudo-header values are read and written one character a byte, so that what no policy touched leaves as it
 * came, whatever bytes it has.
 */
const latin1 = (text: string): Uint8Array => Buffer.from(text, "latin1");

/** Dynamic metadata for Envoy: namespace, key, value. */
export type DynamicMetadata = Record<string, Record<string, unknown>>;

/** A request as it was received. Whatever Envoy did not send is empty. */
export interface ReceivedRequest {
  readonly method: string;
  readonly path: string;
  readonly authority: string;
  readonly scheme: string;
  readonly lines: readonly HeaderLine[];
  readonly client: Client;
  readonly attributes: Readonly<Record<string, string | number | boolean>>;
}

/** A response as it was received. */
export interface ReceivedResponse {
  readonly status: number;
  readonly lines: readonly HeaderLine[];
  /** Whether a body follows the headers. Default: false. */
  readonly hasBody?: boolean;
}

/** The request on its way through the chain. Only `changes.ts` writes to it. */
export class RequestMessage {
  readonly headers: HeaderTable;
  readonly original: OriginalRequest;
  readonly client: Client;
  readonly attributes: Readonly<Record<string, string | number | boolean>>;
  method: string;
  /** With the query. */
  path: string;
  authority: string;
  readonly scheme: string;
  reroute = false;
  #held: { method: string; path: string; authority: string };

  constructor(received: ReceivedRequest) {
    const { method, path, authority, scheme, lines, client, attributes } = received;
    this.headers = new HeaderTable(lines);
    this.original = { method, path, authority, scheme, headers: new HeaderTable(lines) };
    this.client = client;
    this.attributes = attributes;
    this.method = method;
    this.path = path;
    this.authority = authority;
    this.scheme = scheme;
    this.#held = { method, path, authority };
  }

  /** What Envoy has to be told. */
  edits(): HeaderEdit[] {
    const edits = this.headers.edits();
    const { method, path, authority } = this.#held;
    if (this.method !== method) edits.push(overwrite(":method", this.method));
    if (this.path !== path) edits.push(overwrite(":path", this.path));
    if (this.authority !== authority) edits.push(overwrite(":authority", this.authority));
    // Envoy clears its route cache only where headers change too: name the path again. CONNECT has none.
    if (this.reroute && edits.length === 0) {
      edits.push(this.path === "" ? overwrite(":method", this.method) : overwrite(":path", this.path));
    }
    return edits;
  }

  /** Notes that Envoy has been told. */
  settle(): void {
    this.headers.settle();
    this.#held = { method: this.method, path: this.path, authority: this.authority };
    this.reroute = false;
  }
}

/** The response on its way through the chain. Only `changes.ts` writes to it. */
export class ResponseMessage {
  readonly headers: HeaderTable;
  status: number;
  readonly #hasBody: boolean;
  #held: number;

  constructor({ status, lines, hasBody = false }: ReceivedResponse) {
    this.headers = new HeaderTable(lines);
    this.status = status;
    this.#hasBody = hasBody;
    this.#held = status;
  }

  /** Whether the body must be taken away: a client reads what follows such a status as its next response. */
  get dropsBody(): boolean {
    return this.#hasBody && this.status !== this.#held && isBodiless(this.status);
  }

  /** What Envoy has to be told. */
  edits(): HeaderEdit[] {
    const edits = this.headers.edits();
    if (this.status === this.#held) return edits;
    edits.push(overwrite(":status", String(this.status)));
    // A 304 has the length of a body that does not come; a client would wait for it after another status.
    const wrongLength = this.status === 204 || isBodiless(this.#held);
    if (wrongLength && this.headers.has("content-length")) {
      edits.push({ kind: "remove", name: "content-length" });
    }
    return edits;
  }

  /** Notes that Envoy has been told. */
  settle(): void {
    this.headers.settle();
    this.#held = this.status;
  }
}

/** Whether a response of this status never has a body, whatever the method. */
export function isBodiless(status: number): boolean {
  return status === 204 || status === 304;
}

function overwrite(name: string, value: string): HeaderEdit {
  return { kind: "overwrite", name, value: latin1(value) };
}
