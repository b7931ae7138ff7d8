import type { Client, OriginalRequest } from "@policy-engine/sdk";
import type { HeaderList } from "./header-list.ts";
import { type HeaderEdit, HeaderTable } from "./header-table.ts";
import { type BodyNeed, MessageBody } from "./message-body.ts";

/**
 * Pseudo-header values are read and written one character a byte, so that what no policy touched leaves as it
 * came, whatever bytes it has.
 */
const latin1 = (text: string): Uint8Array => Buffer.from(text, "latin1");

const NO_CONTENT = new Uint8Array(0);

/** Dynamic metadata for Envoy: namespace, key, value. */
export type DynamicMetadata = Record<string, Record<string, unknown>>;

/** A request as it was received. Whatever Envoy did not send is empty. */
export interface ReceivedRequest {
  readonly method: string;
  readonly path: string;
  readonly authority: string;
  readonly scheme: string;
  readonly lines: HeaderList;
  readonly client: Client;
  readonly attributes: Readonly<Record<string, string | number | boolean>>;
  /** Whether a body follows the headers, or trailers do. Default: false. */
  readonly hasBody?: boolean;
}

/** A response as it was received. */
export interface ReceivedResponse {
  readonly status: number;
  readonly lines: HeaderList;
  /** Whether a body follows the headers, or trailers do. Default: false. */
  readonly hasBody?: boolean;
  /** The method as the client sent it: a response to HEAD has no body, whatever its headers say. */
  readonly method?: string;
}

/** The request on its way through the chain. Only `changes.ts` writes to it. */
export class RequestMessage {
  readonly headers: HeaderTable;
  readonly body = new MessageBody();
  /** Whether a body follows the headers, or trailers do. */
  readonly hasBody: boolean;
  reroute = false;
  readonly #received: ReceivedRequest;
  #original: OriginalRequest | undefined;
  /** As policies changed them, and as Envoy has been told; undefined: as received. */
  #method: string | undefined;
  #path: string | undefined;
  #authority: string | undefined;
  #heldMethod: string | undefined;
  #heldPath: string | undefined;
  #heldAuthority: string | undefined;

  constructor(received: ReceivedRequest) {
    this.headers = new HeaderTable(received.lines);
    this.hasBody = received.hasBody ?? false;
    this.#received = received;
  }

  get method(): string {
    return this.#method ?? this.#received.method;
  }

  set method(method: string) {
    this.#method = method;
  }

  /** With the query. */
  get path(): string {
    return this.#path ?? this.#received.path;
  }

  set path(path: string) {
    this.#path = path;
  }

  get authority(): string {
    return this.#authority ?? this.#received.authority;
  }

  set authority(authority: string) {
    this.#authority = authority;
  }

  get scheme(): string {
    return this.#received.scheme;
  }

  get client(): Client {
    return this.#received.client;
  }

  get attributes(): ReceivedRequest["attributes"] {
    return this.#received.attributes;
  }

  /** The method as received: it says how the response is framed. */
  get originalMethod(): string {
    return this.#received.method;
  }

  /** As received, unchanged by anything. */
  get original(): OriginalRequest {
    if (this.#original === undefined) {
      const { method, path, authority, scheme, lines } = this.#received;
      this.#original = { method, path, authority, scheme, headers: new HeaderTable(lines) };
    }
    return this.#original;
  }

  /** A body of these can never be awaited: nothing of it may come before the exchange goes on (gRPC, tunnels). */
  get unbufferable(): boolean {
    return this.originalMethod === "CONNECT" || this.headers.has("upgrade") || isGrpc(this.headers);
  }

  /** Whether Envoy can be asked for a body. */
  get expectsBody(): boolean {
    return this.hasBody;
  }

  /** The body that Envoy has to be told of. */
  get newContent(): Uint8Array | undefined {
    return this.body.unsent ? this.body.content : undefined;
  }

  /** Puts another body in its place, with the headers that tell of it. */
  setBody(content: Uint8Array, need: BodyNeed): void {
    replaceBody(this, content, need);
  }

  /** What Envoy has to be told. */
  edits(): HeaderEdit[] {
    const edits = this.headers.edits();
    const received = this.#received;
    if (this.#method !== undefined && this.#method !== (this.#heldMethod ?? received.method))
      edits.push(overwrite(":method", this.#method));
    if (this.#path !== undefined && this.#path !== (this.#heldPath ?? received.path))
      edits.push(overwrite(":path", this.#path));
    if (this.#authority !== undefined && this.#authority !== (this.#heldAuthority ?? received.authority))
      edits.push(overwrite(":authority", this.#authority));
    // Envoy clears its route cache only where headers change too: name the path again. CONNECT has none.
    if (this.reroute && edits.length === 0) {
      edits.push(this.path === "" ? overwrite(":method", this.method) : overwrite(":path", this.path));
    }
    return edits;
  }

  /** Notes that Envoy has been told. */
  settle(): void {
    this.headers.settle();
    this.body.settle();
    this.#heldMethod = this.#method;
    this.#heldPath = this.#path;
    this.#heldAuthority = this.#authority;
    this.reroute = false;
  }
}

/** The response on its way through the chain. Only `changes.ts` writes to it. */
export class ResponseMessage {
  readonly headers: HeaderTable;
  readonly body = new MessageBody();
  /** Whether a body follows the headers, or trailers do. */
  readonly hasBody: boolean;
  status: number;
  readonly #toHead: boolean;
  #held: number;

  constructor({ status, lines, hasBody = false, method = "" }: ReceivedResponse) {
    this.headers = new HeaderTable(lines);
    this.status = status;
    this.hasBody = hasBody;
    this.#toHead = method === "HEAD";
    this.#held = status;
  }

  /** Whether no body may be sent: a client would read it as its next response. */
  get bodiless(): boolean {
    return this.#toHead || isBodiless(this.status);
  }

  /** Whether Envoy can be asked for a body that will be sent on. */
  get expectsBody(): boolean {
    return this.hasBody && !this.bodiless;
  }

  /** The body that Envoy has to be told of; an empty one where the status takes the body away. */
  get newContent(): Uint8Array | undefined {
    if (this.#dropsBody) return NO_CONTENT;
    return this.body.unsent && !this.bodiless ? this.body.content : undefined;
  }

  get #dropsBody(): boolean {
    return this.hasBody && this.status !== this.#held && isBodiless(this.status);
  }

  /** A body of these can never be awaited: it comes bit by bit, or never ends. */
  get unbufferable(): boolean {
    const type = this.headers.get("content-type") ?? "";
    return this.status === 101 || /^text\/event-stream\b/i.test(type) || isGrpc(this.headers);
  }

  /** Puts another body in its place, with the headers that tell of it. False: there must be none; nothing changed. */
  setBody(content: Uint8Array, need: BodyNeed): boolean {
    if (this.bodiless) return false;
    replaceBody(this, content, need);
    return true;
  }

  /** Takes the body away that must not be sent; it stays away, with its length, whatever status follows. */
  dropBody(): void {
    this.body.replace(NO_CONTENT, "buffered");
    if (this.#dropsBody && this.headers.has("content-length")) this.headers.remove("content-length");
  }

  /** What Envoy has to be told. */
  edits(): HeaderEdit[] {
    const edits = this.headers.edits();
    if (this.status === this.#held) return edits;
    // A 304 has the length of a body that does not come; a client would wait for it after another status.
    const wrongLength = this.status === 204 || isBodiless(this.#held) || this.#dropsBody;
    if (!wrongLength || !this.headers.has("content-length")) {
      return [...edits, overwrite(":status", String(this.status))];
    }
    // Also in the place of the length of a body that a policy changed before: Envoy sets after it removes.
    const others = edits.filter(({ name }) => name !== "content-length");
    return [...others, overwrite(":status", String(this.status)), { kind: "remove", name: "content-length" }];
  }

  /** Notes that Envoy has been told. */
  settle(): void {
    this.headers.settle();
    this.body.settle();
    this.#held = this.status;
  }
}

function isGrpc(headers: HeaderTable): boolean {
  return /^application\/grpc\b/i.test(headers.get("content-type") ?? "");
}

/** The content is plain now, and its length is told where one was told before; else it goes in chunks. */
function replaceBody(message: RequestMessage | ResponseMessage, content: Uint8Array, need: BodyNeed): void {
  const { headers, body, hasBody } = message;
  // Told of, it would give a GET a body in chunks, and be refused where trailers came.
  if (content.length === 0 && body.content.length === 0 && !body.unsent) return;
  body.replace(content, need);
  if (need === "buffered" && headers.has("content-encoding")) headers.remove("content-encoding");
  if (!headers.has("content-length")) return;
  // Envoy sends a body that it did not have before in chunks, and refuses a length beside it.
  if (hasBody) headers.set("content-length", [String(content.length)]);
  else headers.remove("content-length");
}

/** Whether a response of this status never has a body, whatever the method. */
export function isBodiless(status: number): boolean {
  return status === 204 || status === 304;
}

function overwrite(name: string, value: string): HeaderEdit {
  return { kind: "overwrite", name, value: latin1(value) };
}
