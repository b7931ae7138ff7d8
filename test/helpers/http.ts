import { connect as connectHttp2 } from "node:http2";
import { connect, type Socket } from "node:net";
import { ByteReader } from "./byte-reader.ts";
import {
  encodeChunked,
  encodeMessage,
  type Head,
  type HeaderLines,
  headerOf,
  headersOf,
  readBody,
  readHead,
} from "./http1.ts";
import type { SeenRequest } from "./upstream.ts";

export interface ClientRequest {
  /** Default: GET. */
  readonly method?: string;
  /** Default: `/`. */
  readonly path?: string;
  /** `host` is added where it is missing. */
  readonly headers?: HeaderLines;
  readonly body?: string | Uint8Array;
  /** Sent after the body, which is then chunked. */
  readonly trailers?: HeaderLines;
  /** Sends the body in chunks of so many bytes, without a length. */
  readonly chunked?: number;
}

/** A response as the client got it. Header values are latin1: a character is a byte. */
export class ClientResponse {
  readonly status: number;
  readonly headers: HeaderLines;
  readonly body: Buffer;
  readonly trailers: HeaderLines;
  /** Interim responses that came first. */
  readonly informational: readonly Head[];

  constructor(head: Head, rest: { body: Buffer; trailers: HeaderLines; informational: readonly Head[] }) {
    this.status = statusOf(head);
    this.headers = head.headers;
    this.body = rest.body;
    this.trailers = rest.trailers;
    this.informational = rest.informational;
  }

  /** The first value of a header; undefined when there is none. */
  header(name: string): string | undefined {
    return headerOf(this.headers, name);
  }

  /** Every value of a header, in order. */
  headerValues(name: string): string[] {
    return headersOf(this.headers, name);
  }

  text(): string {
    return this.body.toString();
  }

  /** The request as it reached the upstream, from its echo. */
  echo(): Echo {
    return new Echo(JSON.parse(this.text()) as SeenRequest);
  }
}

/** A request as the upstream saw it. */
export class Echo {
  readonly request: SeenRequest;

  constructor(request: SeenRequest) {
    this.request = request;
  }

  get path(): string {
    return this.request.path;
  }

  get method(): string {
    return this.request.method;
  }

  header(name: string): string | undefined {
    return headerOf(this.request.headers, name);
  }

  headerValues(name: string): string[] {
    return headersOf(this.request.headers, name);
  }
}

/** One HTTP/1.1 connection that is kept alive; requests go one after the other. */
export class HttpConnection {
  readonly #socket: Socket;
  readonly #reader: ByteReader;

  constructor(socket: Socket) {
    this.#socket = socket;
    this.#reader = new ByteReader(socket);
  }

  static open(port: number): Promise<HttpConnection> {
    return new Promise((resolve, reject) => {
      const socket = connect({ host: "127.0.0.1", port, noDelay: true });
      socket.once("error", reject);
      socket.once("connect", () => resolve(new HttpConnection(socket)));
    });
  }

  async send(request: ClientRequest): Promise<ClientResponse> {
    this.#socket.write(encodeRequest(request));
    return this.read({ head: request.method === "HEAD" });
  }

  /** Sends bytes as they are. */
  write(bytes: string | Uint8Array): void {
    this.#socket.write(bytes);
  }

  /** Reads one response. */
  async read({ head: isHead = false }: { head?: boolean } = {}): Promise<ClientResponse> {
    const informational: Head[] = [];
    for (;;) {
      const head = await readHead(this.#reader);
      if (head === undefined) throw new Error("Cannot read a response: the connection was closed");
      const status = statusOf(head);
      if (status >= 100 && status < 200 && status !== 101) {
        informational.push(head);
        continue;
      }
      if (isHead || status === 101 || status === 204 || status === 304) {
        return new ClientResponse(head, { body: Buffer.alloc(0), trailers: [], informational });
      }
      const rest = await readBody(this.#reader, head.headers, { untilEnd: true });
      return new ClientResponse(head, { ...rest, informational });
    }
  }

  /** Reads the head of a response and leaves its body to {@link readExactly}. */
  async readHead(): Promise<number> {
    const head = await readHead(this.#reader);
    if (head === undefined) throw new Error("Cannot read a response: the connection was closed");
    return statusOf(head);
  }

  /** What comes after an upgrade, or piece by piece. */
  readExactly(count: number): Promise<Buffer> {
    return this.#reader.readExactly(count);
  }

  close(): void {
    this.#socket.destroy();
  }
}

/** Sends one request on a connection of its own. */
export async function request(port: number, options: ClientRequest = {}): Promise<ClientResponse> {
  const connection = await HttpConnection.open(port);
  try {
    return await connection.send(options);
  } finally {
    connection.close();
  }
}

/** Runs `count` requests over `connections` kept-alive connections, and hands each answer on. */
export async function load(
  port: number,
  options: {
    readonly count: number;
    readonly connections: number;
    readonly request: (index: number) => ClientRequest;
    readonly onResponse: (response: ClientResponse, index: number) => void;
  },
): Promise<void> {
  let next = 0;
  const worker = async () => {
    const connection = await HttpConnection.open(port);
    try {
      while (next < options.count) {
        const index = next;
        next += 1;
        options.onResponse(await connection.send(options.request(index)), index);
      }
    } finally {
      connection.close();
    }
  };
  await Promise.all(Array.from({ length: options.connections }, worker));
}

/** Sends one request over HTTP/2; pseudo-headers are added. Trailers need a request without a body to be told apart. */
export function requestHttp2(port: number, options: ClientRequest = {}): Promise<ClientResponse> {
  return new Promise((resolve, reject) => {
    const session = connectHttp2(`http://127.0.0.1:${port}`);
    session.once("error", reject);
    const { method = "GET", path = "/", headers = [], body, trailers } = options;
    const fields: Record<string, string | string[]> = { ":method": method, ":path": path };
    for (const [name, value] of headers) {
      const before = fields[name];
      fields[name] = before === undefined ? value : [before, value].flat();
    }
    const stream = session.request(fields, {
      endStream: body === undefined && trailers === undefined,
      waitForTrailers: trailers !== undefined,
    });
    let head: Head | undefined;
    let got: HeaderLines = [];
    const chunks: Buffer[] = [];
    stream.once("response", (response) => {
      head = { start: `HTTP/2 ${response[":status"]}`, headers: linesOf(response) };
    });
    stream.on("trailers", (response) => {
      got = linesOf(response);
    });
    stream.on("data", (chunk: Buffer) => chunks.push(chunk));
    stream.once("wantTrailers", () => stream.sendTrailers(Object.fromEntries(trailers ?? [])));
    stream.once("error", reject);
    stream.once("close", () => {
      session.close();
      if (head === undefined) reject(new Error("Cannot read a response: the stream was closed"));
      else
        resolve(new ClientResponse(head, { body: Buffer.concat(chunks), trailers: got, informational: [] }));
    });
    if (body !== undefined) stream.end(body);
    else if (trailers !== undefined) stream.end();
  });
}

function encodeRequest(request: ClientRequest): Buffer {
  const { method = "GET", path = "/", headers = [], body, trailers, chunked } = request;
  const lines: (readonly [string, string])[] = [...headers];
  if (headerOf(headers, "host") === undefined) lines.unshift(["host", "test.example"]);
  const start = `${method} ${path} HTTP/1.1`;
  if (trailers !== undefined || chunked !== undefined) {
    lines.push(["transfer-encoding", "chunked"]);
    const chunks = encodeChunked(Buffer.from(body ?? ""), trailers ?? [], { chunkBytes: chunked });
    return Buffer.concat([encodeMessage(start, lines), chunks]);
  }
  if (body !== undefined) lines.push(["content-length", String(Buffer.byteLength(body))]);
  return encodeMessage(start, lines, body);
}

function statusOf(head: Head): number {
  const status = /^HTTP\/\S+ (\d{3})(?: |$)/.exec(head.start)?.[1];
  // Bytes that are left over from the response before would stand in front of it.
  if (status === undefined) throw new Error(`Cannot read a response: it begins with ${head.start}`);
  return Number(status);
}

function linesOf(fields: object): HeaderLines {
  return Object.entries(fields as Record<string, unknown>)
    .filter(([name]) => !name.startsWith(":"))
    .flatMap(([name, value]) => [value].flat().map((line) => [name, String(line)] as const));
}
