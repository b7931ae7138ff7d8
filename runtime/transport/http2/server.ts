// The transport on HTTP/2 of our own, over Bun's sockets.
import type { Socket, SocketListener } from "bun";
import type { EngineLogger } from "../../observability/log.ts";
import { claimSocket, formatAddress, type ListenAddress, withPrivateFiles } from "../listen-address.ts";
import type { StreamAcceptor, Transport } from "../transport.ts";
import { AssemblyMemory } from "./assembly.ts";
import { type ConnectionSettings, type ConnectionSocket, Http2Connection } from "./connection.ts";
import { DEFAULT_HTTP2_LIMITS, type Http2Limits } from "./limits.ts";

/** How often connections are looked after. */
const TICK_MS = 1_000;

/** What an HTTP/2 server is made of. */
export interface Http2TransportSettings {
  readonly address: ListenAddress;
  /** The acceptor of each method, by its gRPC path. */
  readonly services: Readonly<Record<string, StreamAcceptor>>;
  /** The largest message taken, in bytes. */
  readonly maxMessageBytes: number;
  readonly log: EngineLogger;
  /** What differs from {@link DEFAULT_HTTP2_LIMITS}. */
  readonly limits?: Partial<Http2Limits>;
}

/** A transport over cleartext HTTP/2 (h2c) on a TCP or a Unix socket; the socket's file has mode 0600. */
export function createHttp2Transport(settings: Http2TransportSettings): Transport {
  return new Http2Server(settings);
}

interface SocketData {
  connection: Http2Connection | undefined;
}
type ServerSocket = Socket<SocketData> & ConnectionSocket;

class Http2Server implements Transport {
  readonly #address: ListenAddress;
  readonly #settings: ConnectionSettings;
  readonly #connections = new Set<Http2Connection>();
  #listener: SocketListener<SocketData> | undefined;
  #clock: ReturnType<typeof setInterval> | undefined;
  /** Told when the last connection is gone. */
  #whenEmpty: (() => void) | undefined;

  constructor({ address, services, maxMessageBytes, log, limits }: Http2TransportSettings) {
    const all = { ...DEFAULT_HTTP2_LIMITS, ...limits };
    this.#address = address;
    this.#settings = {
      services: new Map(Object.entries(services)),
      maxMessageBytes,
      log,
      limits: all,
      memory: new AssemblyMemory(all.assemblyBytes),
    };
  }

  async listen(): Promise<string> {
    const address = this.#address;
    if (address.kind === "unix") {
      await claimSocket(address.path);
      this.#listener = await withPrivateFiles(address.path, async () => this.#bind({ unix: address.path }));
    } else {
      this.#listener = this.#bind({ hostname: address.host, port: address.port });
    }
    this.#clock = setInterval(() => this.#tick(), TICK_MS);
    if (address.kind === "unix") return formatAddress(address);
    const { port } = this.#listener as unknown as { readonly port: number };
    return formatAddress({ ...address, port });
  }

  async stop(graceMs: number): Promise<void> {
    this.#listener?.stop();
    this.#listener = undefined;
    for (const connection of [...this.#connections]) connection.drain();
    if (this.#connections.size > 0) await this.#untilEmpty(graceMs);
    clearInterval(this.#clock);
  }

  #bind(where: { unix: string } | { hostname: string; port: number }): SocketListener<SocketData> {
    const { limits } = this.#settings;
    try {
      return Bun.listen<SocketData>({
        ...(where as { unix: string }),
        socket: {
          open: (socket) => {
            if (this.#connections.size >= limits.maxConnections) return void socket.terminate();
            const connection = new Http2Connection(this.#settings, socket as ServerSocket, performance.now());
            socket.data = { connection };
            this.#connections.add(connection);
          },
          data: (socket, chunk) => socket.data?.connection?.receive(chunk),
          drain: (socket) => socket.data?.connection?.drained(),
          close: (socket) => this.#closed(socket.data?.connection),
          error: (socket) => void socket.terminate(),
        },
      });
    } catch (error) {
      throw new Error(`Cannot listen on "${formatAddress(this.#address)}": ${causeOf(error)}`, {
        cause: error,
      });
    }
  }

  #closed(connection: Http2Connection | undefined): void {
    if (connection === undefined) return;
    this.#connections.delete(connection);
    connection.gone();
    if (this.#connections.size === 0) this.#whenEmpty?.();
  }

  #tick(): void {
    const now = performance.now();
    for (const connection of [...this.#connections]) connection.tick(now);
  }

  #untilEmpty(graceMs: number): Promise<void> {
    return new Promise((resolve) => {
      const force = setTimeout(() => {
        for (const connection of [...this.#connections]) connection.terminate();
        this.#connections.clear();
        resolve();
      }, graceMs);
      this.#whenEmpty = () => {
        clearTimeout(force);
        resolve();
      };
    });
  }
}

/** Bun names the address; the system's code says what is wrong with it. */
function causeOf(error: unknown): string {
  const { code } = error as { code?: unknown };
  if (code === "EADDRINUSE") return "EADDRINUSE: address already in use";
  if (code === "EADDRNOTAVAIL") return "EADDRNOTAVAIL: address not available";
  return typeof code === "string" ? code : "ENOTFOUND: Name resolution failed";
}
