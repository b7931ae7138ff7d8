import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { ByteReader } from "./byte-reader.ts";
import { encodeChunked, encodeMessage, type HeaderLines, headerOf, readBody, readHead } from "./http1.ts";

/** A request as it reached the upstream. Header values are latin1: a character is a byte. */
export interface SeenRequest {
  readonly method: string;
  /** With the query. */
  readonly path: string;
  readonly headers: HeaderLines;
  readonly body: string;
  readonly trailers: HeaderLines;
}

/** What the upstream answers. Without `body` it echoes the request as JSON. */
export interface Reply {
  /** Default: 200. */
  readonly status?: number;
  readonly headers?: HeaderLines;
  readonly body?: string | Uint8Array;
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

type Script = Reply | ((request: SeenRequest) => Reply | Promise<Reply>);

/** Starts an HTTP/1.1 server on a free loopback port that echoes, or answers as it is told for a path. */
export async function startUpstream(): Promise<Upstream> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return new Upstream(server);
}

export class Upstream {
  readonly port: number;
  /** Every request that arrived, in order. */
  readonly requests: SeenRequest[] = [];
  readonly #server: Server;
  readonly #scripts = new Map<string, Script>();
  readonly #sockets = new Set<Socket>();

  constructor(server: Server) {
    this.#server = server;
    this.port = (server.address() as AddressInfo).port;
    server.on("connection", (socket) => {
      this.#sockets.add(socket);
      socket.on("close", () => this.#sockets.delete(socket));
      socket.on("error", () => socket.destroy());
      this.#serve(socket).catch(() => socket.destroy());
    });
  }

  get address(): string {
    return `127.0.0.1:${this.port}`;
  }

  /** Says what is answered to requests of this path (without query); a later call takes the earlier one's place. */
  on(path: string, script: Script): this {
    this.#scripts.set(path, script);
    return this;
  }

  /** Forgets the requests seen so far. */
  forget(): void {
    this.requests.length = 0;
  }

  async stop(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #serve(socket: Socket): Promise<void> {
    const reader = new ByteReader(socket);
    for (;;) {
      const head = await readHead(reader);
      if (head === undefined) return;
      const [method = "", path = ""] = head.start.split(" ");
      if (headerOf(head.headers, "expect") !== undefined) socket.write("HTTP/1.1 100 Continue\r\n\r\n");
      const script = this.#scripts.get(path.split("?")[0] ?? "") ?? {};
      const early = typeof script === "object" && script.early === true;
      const begun: SeenRequest = { method, path, headers: head.headers, body: "", trailers: [] };
      if (early) socket.write(encodeReply(begun, script));
      const { body, trailers } = await readBody(reader, head.headers);
      const request = { ...begun, body: body.toString("latin1"), trailers };
      this.requests.push(request);
      if (early) continue;
      const reply = typeof script === "function" ? await script(request) : script;
      await reply.until;
      if (reply.hangUp === true) {
        socket.destroy();
        return;
      }
      if (reply.upgrade === true) return echoAfterUpgrade(socket, { reader, headers: reply.headers ?? [] });
      socket.write(encodeReply(request, reply));
    }
  }
}

function encodeReply(request: SeenRequest, reply: Reply): Buffer {
  const { status = 200, headers = [], informational = [], trailers } = reply;
  const before = informational.map((info) => encodeMessage(`HTTP/1.1 ${info.status} Info`, info.headers));
  const start = `HTTP/1.1 ${status} Scripted`;
  const echo = reply.body === undefined;
  const body = Buffer.from(reply.body ?? JSON.stringify(request));
  const typed: HeaderLines = echo ? [...headers, ["content-type", "application/json"]] : headers;
  if (status === 204 || status === 304) return Buffer.concat([...before, encodeMessage(start, headers)]);
  if (request.method === "HEAD") {
    const length: HeaderLines = [...typed, ["content-length", String(body.length)]];
    return Buffer.concat([...before, encodeMessage(start, length)]);
  }
  if (trailers !== undefined) {
    const chunked: HeaderLines = [...typed, ["transfer-encoding", "chunked"]];
    return Buffer.concat([...before, encodeMessage(start, chunked), encodeChunked(body, trailers)]);
  }
  const whole: HeaderLines = [...typed, ["content-length", String(body.length)]];
  return Buffer.concat([...before, encodeMessage(start, whole, body)]);
}

async function echoAfterUpgrade(
  socket: Socket,
  { reader, headers }: { reader: ByteReader; headers: HeaderLines },
): Promise<void> {
  const lines: HeaderLines = [["connection", "upgrade"], ["upgrade", "websocket"], ...headers];
  socket.write(encodeMessage("HTTP/1.1 101 Switching Protocols", lines));
  for (let bytes = await reader.readSome(); bytes !== undefined; bytes = await reader.readSome()) {
    socket.write(bytes);
  }
  socket.end();
}
