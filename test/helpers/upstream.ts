import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { ByteReader } from "./byte-reader.ts";
import { encodeMessage, type HeaderLines, headerOf, readBody, readHead } from "./http1.ts";
import { encodeReply, fingerprint, type Reply, type SeenRequest } from "./upstream-reply.ts";

export type { Reply, SeenRequest };

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
      const digest = typeof script === "object" && script.digest === true;
      const request = { ...begun, body: digest ? fingerprint(body) : body.toString("latin1"), trailers };
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
      if (reply.unfinished === true) return;
    }
  }
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
