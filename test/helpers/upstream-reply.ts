import { encodeChunked, encodeMessage, type HeaderLines, headerOf } from "./http1.ts";

/** A request as it reached the upstream. Header values are latin1: a character is a byte. */
export interface SeenRequest {
  readonly method: string;
  /** With the query. */
  readonly path: string;
  readonly headers: HeaderLines;
  /** In latin1, or its {@link fingerprint} where the script says `digest`. */
  readonly body: string;
  readonly trailers: HeaderLines;
}

/** What the upstream answers. Without `body` it echoes the request as JSON. */
export interface Reply {
  /** Default: 200. */
  readonly status?: number;
  readonly headers?: HeaderLines;
  readonly body?: string | Uint8Array;
  /** Sends the request's body back as it came, with its type and coding. */
  readonly mirror?: boolean;
  /** Sends the body in chunks of so many bytes, without a length. */
  readonly chunked?: number;
  /** Leaves the last chunk out: the response never ends, and the connection answers nothing more. */
  readonly unfinished?: boolean;
  /** Keeps only the fingerprint of the request's body. Not for scripts that are functions. */
  readonly digest?: boolean;
  /** Sent before the response, such as 103. */
  readonly informational?: readonly { readonly status: number; readonly headers: HeaderLines }[];
  readonly trailers?: HeaderLines;
  /** The response waits for it. */
  readonly until?: Promise<unknown>;
  /** Switches protocols (101) and then sends every byte back. */
  readonly upgrade?: boolean;
  /** Answers on the headers, before the body is there. Not for scripts that are functions. */
  readonly early?: boolean;
  /** Closes the connection without an answer. */
  readonly hangUp?: boolean;
}

/** The bytes of a reply. */
export function encodeReply(request: SeenRequest, reply: Reply): Buffer {
  const { status = 200, informational = [] } = reply;
  const before = informational.map((info) => encodeMessage(`HTTP/1.1 ${info.status} Info`, info.headers));
  const start = `HTTP/1.1 ${status} Scripted`;
  if (status === 204 || status === 304) {
    return Buffer.concat([...before, encodeMessage(start, reply.headers ?? [])]);
  }
  return Buffer.concat([...before, encodeFinal(start, { request, reply })]);
}

function encodeFinal(start: string, { request, reply }: { request: SeenRequest; reply: Reply }): Buffer {
  const { headers, body } = contentOf(request, reply);
  const { trailers, chunked, unfinished = false } = reply;
  const whole = trailers === undefined && chunked === undefined && !unfinished;
  const framing: HeaderLines = whole
    ? [["content-length", String(body.length)]]
    : [["transfer-encoding", "chunked"]];
  const lines = [...headers, ...framing];
  if (request.method === "HEAD") return encodeMessage(start, lines);
  if (whole) return encodeMessage(start, lines, body);
  const chunks = encodeChunked(body, trailers ?? [], { chunkBytes: chunked, unfinished });
  return Buffer.concat([encodeMessage(start, lines), chunks]);
}

function contentOf(request: SeenRequest, reply: Reply): { headers: HeaderLines; body: Buffer } {
  const { headers = [] } = reply;
  if (reply.body !== undefined) return { headers, body: Buffer.from(reply.body) };
  if (reply.mirror === true) {
    const kept = ["content-type", "content-encoding"].flatMap((name): HeaderLines => {
      const value = headerOf(request.headers, name);
      return value === undefined ? [] : [[name, value]];
    });
    return { headers: [...headers, ...kept], body: Buffer.from(request.body, "latin1") };
  }
  return {
    headers: [...headers, ["content-type", "application/json"]],
    body: Buffer.from(JSON.stringify(request)),
  };
}

/** The length and the beginning of the hash of a body, as the policy `transform` writes it, too. */
export function fingerprint(body: string | Uint8Array): string {
  const bytes = typeof body === "string" ? Buffer.from(body) : body;
  const hash = new Bun.CryptoHasher("sha256").update(bytes).digest("hex").slice(0, 16);
  return `${bytes.length}:${hash}`;
}
